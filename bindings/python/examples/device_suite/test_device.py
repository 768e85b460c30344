"""Tests of a device's registration, using only the plugin of dps-client[pytest]. Works with -n 4 too."""

from datetime import timedelta

import pytest
from dps_client import LinkError, ProvisioningClient, ServiceError
from dps_client.emulator import Emulator, Enrollment


def test_device_registers(dps_enrollment: Enrollment) -> None:
    """Replace this client by your device: pass it id scope, endpoint, ca_file, id and key."""
    assignment = ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    assert assignment.hub == "hub-a.test"
    assert dps_enrollment.counters.registers == 1


def test_throttled_device_waits_for_retry_after(dps_enrollment: Enrollment) -> None:
    """Waits two seconds, as the service's Retry-After requires, and registers."""
    dps_enrollment.inject("throttle", at="register", retry_after=2)
    assignment = ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    assert assignment.elapsed >= timedelta(seconds=2)
    assert dps_enrollment.counters.throttled == 1


def test_disabled_device_does_not_retry(dps_enrollment: Enrollment) -> None:
    """Does not retry, since the device cannot fix this."""
    dps_enrollment.disable()
    with pytest.raises(ServiceError) as disabled:
        ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    assert disabled.value.verdict == "never"


def test_device_retries_dropped_connections_until_timeout(dps_enrollment: Enrollment) -> None:
    """Ends at its timeout, with an error that says when to retry."""
    dps_enrollment.inject("drop-before", times=1000)
    with pytest.raises(LinkError) as cut:
        ProvisioningClient(**dps_enrollment.client_kwargs("mqtt"), timeout=3).register()
    assert cut.value.retry_after is not None


def test_faults_of_other_tests_are_removed(dps_emulator: Emulator) -> None:
    """Faults of an enrollment are removed when its test ends."""
    assert dps_emulator.planned_faults == []
