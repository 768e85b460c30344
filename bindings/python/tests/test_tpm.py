"""TPM attestation with swtpm, which these tests start where it is installed; and what can be checked without it."""

import asyncio
import os
import pickle
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import pytest
from dps_client import (
    AsyncProvisioningClient,
    ConfigurationError,
    LocalError,
    ProvisioningClient,
    ServiceError,
    Tpm,
)
from dps_client.emulator import Emulator, Transport

# `cargo xtask python` builds the package with TPM attestation; a published wheel has none.
BUILT = os.environ.get("DPS_TEST_TPM") == "1"
needs_tpm = pytest.mark.skipif(not BUILT, reason="this package was built without TPM attestation")


@pytest.fixture
def swtpm(tmp_path: Path) -> Iterator[str]:
    """The TCTI string of a new TPM in software."""
    if not BUILT:
        pytest.skip("this package was built without TPM attestation")
    if shutil.which("swtpm") is None:
        pytest.skip("swtpm is not installed: cargo xtask setup")
    path = tmp_path / "tpm.sock"
    command = ["swtpm", "socket", "--tpm2", "--flags", "not-need-init,startup-clear"]
    command += ["--tpmstate", f"dir={tmp_path}", "--server", f"type=unixio,path={path}"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 30
            while not listens(path):
                assert time.monotonic() < end, "swtpm does not listen"
                time.sleep(0.01)
            yield f"swtpm:path={path}"
        finally:
            process.kill()


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


class Kwargs(TypedDict):
    """The arguments of a client over HTTPS."""

    id_scope: str
    endpoint: str
    transport: Transport
    ca_pem: str
    attestation: Tpm


def kwargs(emulator: Emulator, tpm: Tpm) -> Kwargs:
    service = emulator.client_kwargs("https")
    return {
        "id_scope": service["id_scope"],
        "endpoint": service["endpoint"],
        "transport": service["transport"],
        "ca_pem": service["ca_pem"],
        "attestation": tpm,
    }


def test_tpm_registers_looks_up_and_signs_in_to_its_hub(swtpm: str, dps_emulator: Emulator) -> None:
    tpm = Tpm(swtpm)
    identity = tpm.identity()
    device = dps_emulator.enroll(identity.registration_id, endorsement_key=identity.endorsement_key)
    client = ProvisioningClient(proxy=False, **kwargs(dps_emulator, tpm))
    assert client.registration_id == identity.registration_id
    first = client.register()
    assert first.device_id == identity.registration_id and first.connection_string() is None
    password = first.hub_credentials().password()
    assert device.hub_accepts(password.expose())
    assert client.lookup().hub == first.hub
    assert device.hub_accepts(password.expose())

    again = AsyncProvisioningClient(proxy=False, registration_id=identity.registration_id, **kwargs(dps_emulator, tpm))
    assignment = asyncio.run(again.register())
    assert not device.hub_accepts(password.expose()), "each registration has a new key"
    assert device.hub_accepts(assignment.hub_credentials().password().expose())
    device.remove()


def test_failures_of_a_tpm_are_errors_of_the_catalogue(swtpm: str, dps_emulator: Emulator, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"nonexistent") as missing:
        Tpm("swtpm:path=/nonexistent").identity(timeout=20)
    assert missing.value.name == "tpm-unavailable"
    client = ProvisioningClient(proxy=False, registration_id="dev-01", **kwargs(dps_emulator, Tpm(swtpm)))
    with pytest.raises(ServiceError) as unknown:
        client.register()
    assert (unknown.value.name, unknown.value.error_code) == ("not-found", 404201)
    assert "compare-endorsement-key" in [hint.name for hint in unknown.value.hints]
    (tmp_path / "password").write_text("wrong-0815\n", encoding="utf-8")
    tpm = Tpm(swtpm, endorsement_password_file=tmp_path / "password")
    for _ in range(2):
        with pytest.raises(LocalError) as wrong:
            ProvisioningClient(proxy=False, registration_id="dev-01", **kwargs(dps_emulator, tpm)).register()
        assert wrong.value.name == "tpm-wrong-password" and "0815" not in str(wrong.value)


@needs_tpm
def test_what_can_never_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'tcti'") as tcti:
        Tpm("tabrmd")
    assert tcti.value.name == "invalid-tcti"
    with pytest.raises(ConfigurationError, match="'auth_key_index'"):
        Tpm("device", auth_key_index=0x10001)
    with pytest.raises(TypeError, match="'auth_key_index'"):
        Tpm("device", auth_key_index="256")  # type: ignore[arg-type]
    with pytest.raises(LocalError, match="absent") as file:
        Tpm("device", owner_password_file=tmp_path / "absent")
    assert file.value.name == "file"
    for transport in ("mqtt", "mqtt-ws"):
        with pytest.raises(ConfigurationError, match="HTTPS only") as refused:
            ProvisioningClient(
                id_scope="0ne00A1B2C3",
                registration_id="dev-01",
                attestation=Tpm("device:/nonexistent"),
                transport=transport,
            )
        assert refused.value.name == "unsupported-by-transport"


@needs_tpm
def test_tpm_is_named_by_its_tcti_string_and_is_not_pickled() -> None:
    tpm = Tpm("swtpm:path=/run/swtpm.sock", auth_key_index=0x200)
    assert repr(tpm) == "Tpm('swtpm:path=/run/swtpm.sock')"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(tpm)


@pytest.mark.skipif(BUILT, reason="this package was built with TPM attestation")
def test_package_without_tpm_attestation_names_the_build_that_has_it() -> None:
    with pytest.raises(ConfigurationError, match="--features tpm") as missing:
        Tpm("device")
    assert missing.value.name == "feature-missing"
    assert [hint.name for hint in missing.value.hints] == ["build-with-feature"]
