"""pytest fixtures around a local provisioning service: dps_emulator for the session, dps_enrollment for each test.

Nothing native is imported before a test asks for one of them. Under pytest-xdist each worker has its own emulator.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dps_client.emulator import Emulator, EmulatorOptions, Enrollment


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --dps-fixed-ports."""
    group = parser.getgroup("dps", "Azure IoT Hub Device Provisioning")
    group.addoption(
        "--dps-fixed-ports",
        action="store_true",
        help="let the local provisioning service listen on 443 and 8883, the only ports that published clients know",
    )


@pytest.fixture(scope="session")
def dps_emulator_options() -> EmulatorOptions:
    """Options of the emulator besides {"rate_limits": False}. Override it in conftest.py; yours go before."""
    return {}


@pytest.fixture(scope="session")
def dps_emulator(request: pytest.FixtureRequest, dps_emulator_options: EmulatorOptions) -> Iterator[Emulator]:
    """A local provisioning service (dps_client.emulator.Emulator) for as long as the session lasts.

    With --dps-fixed-ports tests that need it are skipped where the ports cannot be had.
    """
    from dps_client.emulator import Emulator, PortsUnavailable

    options: EmulatorOptions = {"rate_limits": False, **dps_emulator_options}
    if request.config.getoption("--dps-fixed-ports"):
        options["fixed_ports"] = True
    emulator = Emulator(**options)
    try:
        emulator.start()
    except PortsUnavailable as unavailable:
        pytest.skip(str(unavailable))
    yield emulator
    emulator.stop()


@pytest.fixture
def dps_enrollment(request: pytest.FixtureRequest, dps_emulator: Emulator) -> Iterator[Enrollment]:
    """A device that is enrolled for this test alone (dps_client.emulator.Enrollment), named after it.

    Its keys show themselves to nobody who does not call expose(). Afterwards its faults are taken back and it is gone.
    A fault that no request of it met fails the test: what was to be tested was not.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:80]
    enrollment = dps_emulator.enroll(f"{readable}-{uuid.uuid4().hex[:8]}")
    yield enrollment
    unmet = enrollment.unmet_faults
    enrollment.clear_faults()
    enrollment.remove()
    if unmet:
        pytest.fail("\n".join(f"no request met the fault {fault}" for fault in unmet), pytrace=False)
