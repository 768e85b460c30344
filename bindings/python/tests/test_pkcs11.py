"""Keys in a PKCS#11 token that `cargo xtask python` makes with SoftHSM, and what can be checked without a token."""

import asyncio
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dps_client import (
    X509,
    AsyncProvisioningClient,
    ConfigurationError,
    HubRenewal,
    IdentityStore,
    IssuedIdentity,
    LocalError,
    OperationalKey,
    Pkcs11Key,
    ProvisioningClient,
    SymmetricKey,
)
from dps_client.emulator import Emulator, Transport

TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]
DATA = Path(__file__).parents[3] / "dps-client/tests/data/x509"
DEVICE = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
DEVICE_KEY = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
KEY, TLS = "pkcs11:token=dps;object=device-key", "pkcs11:token=dps;object=device-tls"


@pytest.fixture
def token() -> Path:
    folder = os.environ.get("DPS_TEST_TOKEN")
    if folder is None:
        pytest.skip("the token is missing: cargo xtask python makes one where SoftHSM is installed")
    return Path(folder)


def key_in(token: Path, uri: str) -> Pkcs11Key:
    return Pkcs11Key(uri, pin_file=token / "pin", module=token / "module.so")


def test_symmetric_key_in_a_token_registers_over_every_transport(token: Path, dps_emulator: Emulator) -> None:
    device = dps_emulator.enroll(DEVICE, key=DEVICE_KEY)
    key = key_in(token, KEY)
    for transport in TRANSPORTS:
        kwargs = device.client_kwargs(transport)
        kwargs["attestation"] = key
        assignment = ProvisioningClient(**kwargs).register()
        assert assignment.device_id == DEVICE and assignment.connection_string() is None
        assert asyncio.run(AsyncProvisioningClient(**kwargs).register()).hub == "hub-a.test"
    assert key.sign(b"x") == SymmetricKey(DEVICE_KEY).sign(b"x")
    device.remove()


def test_certificate_with_its_key_in_a_token_registers_over_every_transport(
    token: Path, dps_emulator: Emulator
) -> None:
    attestation = X509.from_pkcs11(DATA / "ec.pem", key_in(token, TLS))
    device = dps_emulator.enroll("dev-01", certificate=attestation)
    for transport in TRANSPORTS:
        assert ProvisioningClient(**device.client_kwargs(transport)).register().device_id == "dev-01"
    device.remove()


def test_failures_of_a_token_are_errors_of_the_catalogue(token: Path) -> None:
    for uri, name in (
        ("pkcs11:token=dps;object=another", "pkcs11-no-object"),
        ("pkcs11:token=another;object=device-key", "pkcs11-no-token"),
    ):
        with pytest.raises(LocalError) as missing:
            key_in(token, uri).sign(b"x")
        assert missing.value.name == name
    with pytest.raises(ConfigurationError) as mismatch:
        other = X509.from_pkcs11(DATA / "rsa-2048.cert.pem", key_in(token, TLS))
        ProvisioningClient(id_scope="0ne00A1B2C3", attestation=other)
    assert mismatch.value.name == "client-key-mismatch"


def test_certificate_is_issued_for_a_key_in_a_token_and_signs_in_to_the_hub(token: Path, tmp_path: Path) -> None:
    key = key_in(token, TLS)
    operational = OperationalKey.from_pkcs11(key)
    request = operational.certificate_request("dev-issued")
    with Emulator(assign_at_once=True) as emulator:
        device = emulator.enroll("dev-issued", certificate_policy="factory/line-ca/devices")
        client = ProvisioningClient(**device.client_kwargs(), certificate_request=request)
        assignment = client.register()
        identity = IssuedIdentity.accept(operational, assignment.issued_chain, "dev-issued", now=emulator.now)
        with IdentityStore(tmp_path, pkcs11_key=key) as store:
            store.save(identity)
            loaded = store.load().identity
        assert loaded is not None and loaded.chain == identity.chain
        assert sorted(path.name for path in tmp_path.glob("*.pem")) == ["chain.pem", "identity.pem"]
        with IdentityStore(tmp_path) as store, pytest.raises(ConfigurationError, match="token=dps") as unnamed:
            store.load()
        assert unnamed.value.name == "invalid-option"
        # The token signs the handshake with the hub.
        kwargs: dict[str, Any] = {**device.client_kwargs(), "attestation": loaded.x509}
        credentials = ProvisioningClient(**kwargs).hub_credentials(hub="hub-a.test", device_id="dev-issued")
        where: dict[str, Any] = {"port": emulator.mqtt_port, "address": "127.0.0.1", "ca_pem": emulator.ca_pem}
        assert len(HubRenewal(credentials, **where, proxy=False).issue(request)) == 3
    for wrong in ("key", None):
        with pytest.raises(TypeError, match="must be a Pkcs11Key"):
            OperationalKey.from_pkcs11(wrong)  # type: ignore[arg-type]


WRONG_PIN = """
import sys
from dps_client import LocalError, Pkcs11Key, Secret
try:
    Pkcs11Key(sys.argv[1], pin=Secret("wrong-pin-1"), module=sys.argv[2]).sign(b"x")
except LocalError as error:
    print(error.name, "wrong-pin-1" in str(error))
"""


def test_wrong_pin_is_reported(token: Path) -> None:
    # In another process: here the token may be logged in to.
    command = [sys.executable, "-c", WRONG_PIN, KEY, str(token / "module.so")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "pkcs11-wrong-pin False\n", "")


REGISTER = """
import sys
from dps_client import Pkcs11Key, ProvisioningClient
token, device, scope, endpoint, ca_file = sys.argv[1:]
key = Pkcs11Key("pkcs11:token=dps;object=device-key", pin_file=token + "/pin", module=token + "/module.so")
client = ProvisioningClient(
    id_scope=scope, registration_id=device, attestation=key, endpoint=endpoint, ca_file=ca_file, proxy=False
)
print(client.register().device_id)
"""


def test_process_ends_after_the_calls_of_its_token(token: Path, dps_emulator: Emulator) -> None:
    device = dps_emulator.enroll(DEVICE, key=DEVICE_KEY)
    endpoint = device.client_kwargs()["endpoint"]
    command = [sys.executable, "-c", REGISTER, str(token), DEVICE, device.id_scope, endpoint, dps_emulator.ca_file]
    slowly = token / "close-slowly"
    slowly.touch()
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        slowly.unlink()
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, DEVICE + "\n", "")
    # The module counts the ends of processes within its calls.
    assert not (token / "ended-in-call").exists()
    device.remove()


def test_module_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"missing\.so") as module:
        Pkcs11Key(KEY, module=tmp_path / "missing.so").sign(b"x", timeout=20)
    assert module.value.name == "pkcs11-module"


def test_uris_with_a_pin_and_impossible_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'uri'") as refused:
        Pkcs11Key("pkcs11:token=dps?pin-value=open-sesame")
    assert refused.value.name == "invalid-pkcs11-uri" and "sesame" not in str(refused.value)
    with pytest.raises(ValueError, match="both set"):
        Pkcs11Key(KEY, pin_file="pin", pin="1234")
    with pytest.raises(TypeError, match="'pin'"):
        Pkcs11Key(KEY, pin=1234)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'key'"):
        X509.from_pkcs11("device.pem", KEY)  # type: ignore[arg-type]


def test_pin_is_in_no_representation_and_a_key_is_not_pickled() -> None:
    key = Pkcs11Key(KEY, pin="open-sesame")
    assert repr(key) == f"Pkcs11Key('{KEY}')"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(key)
