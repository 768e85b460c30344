"""A device's registration under test, with nothing but the plugin of dps-client[pytest]. Works with -n 4 too."""

from datetime import timedelta

import pytest
from dps_client import LinkError, ProvisioningClient, ServiceError
from dps_client.emulator import Emulator, Enrollment


def test_the_device_registers(dps_enrollment: Enrollment) -> None:
    """Puts your device in the place of this client: give it id scope, endpoint, ca_file, id and key."""
    assignment = ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    assert assignment.hub == "hub-a.test"
    assert dps_enrollment.counters.registers == 1


def test_a_throttled_device_comes_back_when_it_is_told_to(dps_enrollment: Enrollment) -> None:
    """Waits two seconds, as the service asks, and registers."""
    dps_enrollment.inject("throttle", at="register", retry_after=2)
    assignment = ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    assert assignment.elapsed >= timedelta(seconds=2)
    assert dps_enrollment.counters.throttled == 1


def test_a_disabled_device_gives_up(dps_enrollment: Enrollment) -> None:
    """Does not try again: nothing that the device can do helps."""
    dps_enrollment.disable()
    with pytest.raises(ServiceError) as disabled:
        ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    assert disabled.value.verdict == "never"


def test_a_service_that_drops_the_connection_is_tried_until_the_deadline(dps_enrollment: Enrollment) -> None:
    """Ends by its own deadline, and says when another try makes sense."""
    dps_enrollment.inject("drop-before", times=1000)
    with pytest.raises(LinkError) as cut:
        ProvisioningClient(**dps_enrollment.client_kwargs("mqtt"), timeout=3).register()
    assert cut.value.retry_after is not None


def test_the_faults_of_other_tests_are_gone(dps_emulator: Emulator) -> None:
    """Each enrollment takes its faults along when its test ends."""
    assert dps_emulator.planned_faults == []
