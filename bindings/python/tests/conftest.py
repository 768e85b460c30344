"""The emulator of these tests assigns immediately; tests of waits start their own."""

import pytest
from dps_client.emulator import EmulatorOptions


@pytest.fixture(scope="session")
def dps_emulator_options() -> EmulatorOptions:
    return {"retry_after": 0, "assigning": 0}
