"""The emulator of these tests answers at once; each that is about waits has one of its own."""

import pytest
from dps_client.emulator import EmulatorOptions


@pytest.fixture(scope="session")
def dps_emulator_options() -> EmulatorOptions:
    return {"retry_after": 0, "assigning": 0}
