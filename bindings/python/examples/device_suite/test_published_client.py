"""Tests of a published client of another vendor, which requires the ports 443 and 8883: --dps-fixed-ports."""

import pytest
from azure.iot.device import ProvisioningDeviceClient
from dps_client.emulator import Enrollment


@pytest.fixture(autouse=True)
def fixed_ports(request: pytest.FixtureRequest) -> None:
    """Skips the tests without --dps-fixed-ports."""
    if not request.config.getoption("--dps-fixed-ports"):
        pytest.skip("the published client needs the ports 443 and 8883: run with --dps-fixed-ports")


@pytest.mark.parametrize("websockets", [False, True])
def test_published_client_registers(dps_enrollment: Enrollment, websockets: bool) -> None:
    """Registers over MQTT and over MQTT on WebSocket."""
    kwargs = dps_enrollment.azure_client_kwargs(websockets=websockets)
    client = ProvisioningDeviceClient.create_from_symmetric_key(**kwargs)
    result = client.register()
    assert result.status == "assigned"
    assert result.registration_state is not None
    assert result.registration_state.assigned_hub == "hub-a.test"
    assert dps_enrollment.counters.registers == 1


def test_published_client_retries_when_throttled(dps_enrollment: Enrollment) -> None:
    """Retries after the service's 429."""
    dps_enrollment.inject("throttle", at="register", retry_after=2)
    client = ProvisioningDeviceClient.create_from_symmetric_key(**dps_enrollment.azure_client_kwargs())
    assert client.register().status == "assigned"
    assert dps_enrollment.counters.throttled == 1
