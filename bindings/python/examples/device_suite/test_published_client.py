"""The published client of another maker under test; it knows only the ports 443 and 8883: --dps-fixed-ports."""

import pytest
from azure.iot.device import ProvisioningDeviceClient
from dps_client.emulator import Enrollment


@pytest.fixture(autouse=True)
def fixed_ports(request: pytest.FixtureRequest) -> None:
    """Skips where the ports were not asked for."""
    if not request.config.getoption("--dps-fixed-ports"):
        pytest.skip("the published client needs the ports 443 and 8883: run with --dps-fixed-ports")


@pytest.mark.parametrize("websockets", [False, True])
def test_the_published_client_registers(dps_enrollment: Enrollment, websockets: bool) -> None:
    """Over MQTT and over MQTT on WebSocket."""
    kwargs = dps_enrollment.azure_client_kwargs(websockets=websockets)
    client = ProvisioningDeviceClient.create_from_symmetric_key(**kwargs)
    result = client.register()
    assert result.status == "assigned"
    assert result.registration_state is not None
    assert result.registration_state.assigned_hub == "hub-a.test"
    assert dps_enrollment.counters.registers == 1


def test_the_published_client_survives_a_busy_service(dps_enrollment: Enrollment) -> None:
    """Takes the service's 429 and comes back."""
    dps_enrollment.inject("throttle", at="register", retry_after=2)
    client = ProvisioningDeviceClient.create_from_symmetric_key(**dps_enrollment.azure_client_kwargs())
    assert client.register().status == "assigned"
    assert dps_enrollment.counters.throttled == 1
