"""Devices with X.509 certificates: individual and group enrollments, every transport, invalid files, and the hub."""

import asyncio
import copy
import pickle
import ssl
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dps_client import (
    X509,
    AsyncProvisioningClient,
    ConfigurationError,
    DpsError,
    LocalError,
    ProvisioningClient,
    Secret,
    ServiceError,
    SymmetricKey,
)
from dps_client.emulator import (
    CertificateAuthority,
    ClientKwargs,
    Device,
    DeviceCertificate,
    Emulator,
    Enrollment,
    Transport,
)
from dps_client.errors import FileError

TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]
DATA = Path(__file__).parents[3] / "dps-client/tests/data/x509"
PASSPHRASE = "correct-horse"


def with_attestation(device: Device, attestation: X509) -> ClientKwargs:
    kwargs = device.client_kwargs()
    kwargs["attestation"] = attestation
    return kwargs


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_certificate_registers_without_a_registration_id(dps_x509_enrollment: Enrollment, transport: Transport) -> None:
    kwargs: dict[str, Any] = {**dps_x509_enrollment.client_kwargs(transport)}
    del kwargs["registration_id"]
    client = ProvisioningClient(**kwargs)
    assert client.registration_id == dps_x509_enrollment.registration_id
    assert client.register().device_id == dps_x509_enrollment.registration_id
    assert asyncio.run(AsyncProvisioningClient(**kwargs).register()).hub == "hub-a.test"
    assert ProvisioningClient(**{**kwargs, **dps_x509_enrollment.client_kwargs()}).lookup().hub == "hub-a.test"
    assert dps_x509_enrollment.counters.registers == 2


@pytest.mark.parametrize(
    "names",
    [("ec.pem", "ec-pkcs8.pem"), ("rsa-2048.cert.pem", "rsa-2048-pkcs1.pem"), ("rsa-4096.cert.pem", "rsa-4096.pem")],
)
def test_files_of_every_kind_register(dps_emulator: Emulator, names: tuple[str, str]) -> None:
    device = X509.from_files(DATA / names[0], str(DATA / names[1]))
    enrollment = dps_emulator.enroll("dev-01", certificate=device)
    assert ProvisioningClient(**enrollment.client_kwargs("mqtt")).register().device_id == "dev-01"
    enrollment.remove()


def test_group_registers_devices_whose_chain_leads_to_a_verified_authority(dps_emulator: Emulator) -> None:
    root = CertificateAuthority("Root")
    line = root.intermediate("Line 7")
    group = dps_emulator.enroll_group("line-7", certificate=line)
    press = group.device_with(line.device("press-7", curve="P-384"))
    with pytest.raises(ServiceError) as unverified:
        ProvisioningClient(**press.client_kwargs()).register()
    assert (unverified.value.name, unverified.value.error_code) == ("unauthorized", 401002)
    assert [hint.name for hint in unverified.value.hints][:1] == ["unverified-root"]
    dps_emulator.add_ca_certificate("root", root)
    for transport in TRANSPORTS:
        assert ProvisioningClient(**press.client_kwargs(transport)).register().device_id == "press-7"
    alone = X509.from_pem(press.certificate.certificate_pem, press.certificate.key_pem)
    with pytest.raises(ServiceError) as incomplete:
        ProvisioningClient(**with_attestation(press, alone)).register()
    assert incomplete.value.hints[0].name == "missing-intermediate"
    with pytest.raises(RuntimeError, match="certificates instead of keys"):
        group.device("press-8")
    with pytest.raises(RuntimeError, match="certificate instead of a key"):
        _ = press.key
    group.disable()
    with pytest.raises(ServiceError):
        ProvisioningClient(**press.client_kwargs()).register()
    assert press.refusals[-1].reason
    group.remove()
    assert dps_emulator.remove_ca_certificate("root") and not dps_emulator.remove_ca_certificate("root")


def test_secondary_certificate_replaces_the_first(dps_emulator: Emulator) -> None:
    old, new, other = (DeviceCertificate.self_signed("dev-renewed") for _ in range(3))
    device = dps_emulator.enroll("dev-renewed", certificate=old, secondary_certificate=new)
    for certificate in (old, new):
        client = ProvisioningClient(**with_attestation(device, certificate.attestation))
        assert client.register().hub == "hub-a.test"
    with pytest.raises(ServiceError) as refused:
        ProvisioningClient(**with_attestation(device, other.attestation)).register()
    assert refused.value.hints[0].name == "wrong-thumbprint"
    device.remove()


def test_enrollment_by_pem_alone_has_no_credential_for_a_client(dps_emulator: Emulator, tmp_path: Path) -> None:
    certificate = DeviceCertificate.self_signed("dev-pem")
    device = dps_emulator.enroll("dev-pem", certificate=certificate.certificate_pem)
    with pytest.raises(RuntimeError, match="without the private key"):
        device.client_kwargs()
    files = certificate.write(tmp_path)
    assert stat.S_IMODE(Path(files[1]).stat().st_mode) == 0o600
    client = ProvisioningClient(**dps_emulator.client_kwargs(), attestation=X509.from_files(*files))
    assert client.register().device_id == "dev-pem"
    device.remove()


def test_encrypted_key_requires_its_passphrase(tmp_path: Path) -> None:
    files = (DATA / "ec.pem", DATA / "ec-pbkdf2.pem")
    secret = tmp_path / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    for device in (
        X509.from_files(*files, passphrase=PASSPHRASE),
        X509.from_files(*files, passphrase=Secret(PASSPHRASE)),
        X509.from_files(*files, passphrase_file=secret),
        X509.from_pem(files[0].read_bytes(), files[1].read_text(), passphrase=PASSPHRASE),
    ):
        assert repr(device) == "X509(common_name='dev-01', certificates=1)"
    for passphrase in (None, "open sesame"):
        with pytest.raises(ConfigurationError, match=r"ec-pbkdf2\.pem") as wrong:
            X509.from_files(*files, passphrase=passphrase)
        assert wrong.value.name == "wrong-passphrase" and "sesame" not in str(wrong.value)
    with pytest.raises(ValueError, match="both set"):
        X509.from_files(*files, passphrase=PASSPHRASE, passphrase_file=secret)


def test_invalid_certificates_and_keys_are_errors_of_the_catalogue(tmp_path: Path) -> None:
    text = (DATA / "ec.pem").read_text()
    with pytest.raises(ConfigurationError, match="PRIVATE KEY") as swapped:
        X509.from_pem((DATA / "ec-sec1.pem").read_text(), text)
    assert swapped.value.name == "invalid-client-certificate" and swapped.value.hints[0].name == "certificate-format"
    with pytest.raises(ConfigurationError) as no_key:
        X509.from_pem(text, text)
    assert no_key.value.name == "invalid-client-key"
    with pytest.raises(FileError, match="missing"):
        X509.from_files(tmp_path / "missing", DATA / "ec-sec1.pem")
    with pytest.raises(TypeError, match="'certificate'"):
        X509.from_pem(5, text)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'passphrase'"):
        X509.from_pem(text, text, passphrase=b"x")  # type: ignore[arg-type]


def test_client_refuses_a_certificate_that_cannot_work() -> None:
    device = X509.from_files(DATA / "ec.pem", DATA / "ec-sec1.pem")
    with pytest.raises(ConfigurationError) as other_name:
        ProvisioningClient(id_scope="0ne00A1B2C3", registration_id="dev-07", attestation=device)
    assert (other_name.value.name, other_name.value.hints[0].name) == ("common-name-mismatch", "certificate-name")
    mismatch = X509.from_files(DATA / "ec.pem", DATA / "rsa-4096.pem")
    with pytest.raises(ConfigurationError) as other_key:
        ProvisioningClient(id_scope="0ne00A1B2C3", attestation=mismatch)
    assert other_key.value.name == "client-key-mismatch"
    later = ssl.cert_time_to_seconds("Jan  1 00:00:00 2121 GMT")
    with pytest.raises(LocalError) as expired:
        ProvisioningClient(id_scope="0ne00A1B2C3", attestation=device, clock=lambda: later)
    assert (expired.value.name, expired.value.hints[0].name) == ("client-certificate-expired", "renew-certificate")
    with pytest.raises(ConfigurationError, match="the registration id is missing"):
        ProvisioningClient(id_scope="0ne00A1B2C3", attestation=SymmetricKey("A" * 43))


def test_hub_credentials_are_the_certificate(dps_x509_enrollment: Enrollment) -> None:
    assignment = ProvisioningClient(**dps_x509_enrollment.client_kwargs()).register()
    text = assignment.connection_string()
    name = dps_x509_enrollment.registration_id
    assert text is not None and text.expose() == f"HostName=hub-a.test;DeviceId={name};x509=true"
    credentials = assignment.hub_credentials()
    certificate = credentials.certificate
    assert certificate is not None and certificate.common_name == name
    assert certificate.certificates == [ssl.PEM_cert_to_DER_cert(dps_x509_enrollment.certificate.certificate_pem)]
    with pytest.raises(ConfigurationError, match="with its certificate"):
        credentials.password()


def test_handshake_that_refuses_the_certificate_of_one_device(
    dps_emulator: Emulator, dps_x509_enrollment: Enrollment
) -> None:
    other = dps_emulator.enroll("dev-other", certificate=DeviceCertificate.self_signed("dev-other"))
    dps_x509_enrollment.inject("refuse-certificate", at="handshake")
    ProvisioningClient(**other.client_kwargs()).register()
    with pytest.raises(DpsError, match=r"unknown_ca \(48\)") as refused:
        ProvisioningClient(**dps_x509_enrollment.client_kwargs()).register()
    assert (refused.value.name, refused.value.verdict) == ("client-certificate-refused", "never")
    ProvisioningClient(**dps_x509_enrollment.client_kwargs()).register()
    with pytest.raises(ValueError, match="no-certificate-request"):
        dps_x509_enrollment.inject("no-certificate-request", at="handshake")
    other.remove()


def test_private_keys_are_in_no_representation_and_are_not_pickled() -> None:
    authority = CertificateAuthority("Root 'A'")
    certificate = authority.device("dev-01")
    body = certificate.key_pem.expose().splitlines()[1]
    for thing in (authority, certificate, certificate.attestation):
        assert body not in repr(thing)
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                copied(thing)
    assert repr(authority) == "CertificateAuthority(common_name=\"Root 'A'\")"
    assert certificate.chain_pem == certificate.certificate_pem + authority.certificate_pem


def test_impossible_certificates_and_enrollments_are_refused(dps_emulator: Emulator) -> None:
    authority = CertificateAuthority("Root")
    device = authority.device("dev-01")
    with pytest.raises(ValueError, match="'valid_for'"):
        authority.device("dev-01", valid_for=timedelta(days=91))
    with pytest.raises(ValueError, match="'curve'"):
        authority.device("dev-01", curve="P-521")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'key'"):
        dps_emulator.enroll("dev-01", certificate=device, key="A" * 43)
    with pytest.raises(ValueError, match="'secondary_certificate'"):
        dps_emulator.enroll("dev-01", secondary_certificate=device)
    with pytest.raises(ValueError, match="'certificate'"):
        dps_emulator.enroll("dev-01", certificate="-----BEGIN CERTIFICATE-----")
    with pytest.raises(ValueError, match="CA certificate"):
        dps_emulator.enroll_group("line", certificate=device.certificate_pem)
    with pytest.raises(ValueError, match="not a CA certificate"):
        dps_emulator.add_ca_certificate("root", device.certificate_pem)
    with pytest.raises(TypeError, match="'certificate'"):
        dps_emulator.add_ca_certificate("root", b"")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'certificate'"):
        dps_emulator.add_ca_certificate("root", "nonsense")
