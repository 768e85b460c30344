"""Tests a device against the emulator in a container, with testcontainers.

    pip install pytest testcontainers dps_client-0.1.0-*.whl
    pytest test_device.py

The image must be loaded (docs/container.md). The device here is the Python client; put your own program in its place.
"""

import json
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy

from dps_client import DpsError, ProvisioningClient, SymmetricKey

HTTPS, PAGE = 8443, 9080


class Emulator(DockerContainer):
    """The emulator, ready when `start` returns. Its ports are mapped to free ones."""

    def __init__(self, image: str = "dps-emulator:0.1.0") -> None:
        super().__init__(image)
        self.with_exposed_ports(HTTPS, PAGE)
        self.waiting_for(HttpWaitStrategy(PAGE, "/readyz").for_status_code(200))

    @property
    def endpoint(self) -> str:
        """The service, as a device on this machine reaches it. The certificate is for this name."""
        return f"localhost:{self.get_exposed_port(HTTPS)}"

    @property
    def ca_pem(self) -> str:
        """The certificate authority that the device must trust."""
        with urlopen(f"http://localhost:{self.get_exposed_port(PAGE)}/ca.pem", timeout=10) as answer:
            return answer.read().decode()

    @property
    def connection_string(self) -> str:
        """What service clients sign in with; its host is the container's own."""
        return self._dps("emulator", "connection-string").strip()

    def enroll(self, registration_id: str) -> str:
        """Creates an enrollment and returns its key."""
        owner = ["--connection-string-file", "/state/connection-string", "--ca-file", "/state/ca.pem"]
        create = ["enrollment", "create", "--registration-id", registration_id, "--show-keys", "--json"]
        enrollment = json.loads(self._dps(*create, *owner))["enrollment"]
        return enrollment["attestation"]["symmetricKey"]["primaryKey"]

    def _dps(self, *arguments: str) -> str:
        done = self.exec(["dps", *arguments])
        assert done.exit_code == 0, done.output.decode()
        return done.output.decode()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


def device(emulator: Emulator, registration_id: str, key: str) -> ProvisioningClient:
    return ProvisioningClient(
        endpoint=emulator.endpoint,
        ca_pem=emulator.ca_pem,
        id_scope="0ne00A1B2C3",
        registration_id=registration_id,
        attestation=SymmetricKey(key),
    )


def test_enrolled_device_is_assigned(emulator: Emulator) -> None:
    key = emulator.enroll("dev-01")
    assert device(emulator, "dev-01", key).register().hub == "hub-a.test"


def test_key_of_another_device_is_refused(emulator: Emulator) -> None:
    key = emulator.enroll("dev-02")
    with pytest.raises(DpsError) as refused:
        device(emulator, "dev-03", key).register()
    assert refused.value.http_status == 401


def test_owner_can_sign_in(emulator: Emulator) -> None:
    assert "SharedAccessKeyName=provisioningserviceowner" in emulator.connection_string
