"""pytest fixtures with a local provisioning service.

dps_emulator is for the session; dps_enrollment and dps_x509_enrollment are for each test: a device with a key, and one
with a certificate.

The native module is not imported before a test uses one of them. Under pytest-xdist each worker has its own emulator.
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
        help="run the local provisioning service on the ports 443 and 8883, which published clients require",
    )


@pytest.fixture(scope="session")
def dps_emulator_options() -> EmulatorOptions:
    """Returns options of the emulator. Override it in conftest.py; the only other default is {"rate_limits": False}."""
    return {}


@pytest.fixture(scope="session")
def dps_emulator(request: pytest.FixtureRequest, dps_emulator_options: EmulatorOptions) -> Iterator[Emulator]:
    """A local provisioning service (dps_client.emulator.Emulator) for the session.

    With --dps-fixed-ports, tests that use it are skipped if the ports are not available.
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
    """A device that is enrolled for one test only (dps_client.emulator.Enrollment), and named after the test.

    Its keys are masked unless expose() is called. After the test, its faults and the enrollment are removed. The test
    fails if no request met a planned fault.
    """
    yield from _for_one_test(dps_emulator.enroll(_registration_id(request)))


@pytest.fixture
def dps_x509_enrollment(request: pytest.FixtureRequest, dps_emulator: Emulator) -> Iterator[Enrollment]:
    """The same for a device with a certificate: Enrollment.certificate, which is self-signed."""
    from dps_client.emulator import DeviceCertificate

    registration_id = _registration_id(request)
    certificate = DeviceCertificate.self_signed(registration_id)
    yield from _for_one_test(dps_emulator.enroll(registration_id, certificate=certificate))


def _registration_id(request: pytest.FixtureRequest) -> str:
    """Returns an id with the name of the test; as the common name of a certificate, it has at most 64 characters."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:55].rstrip("-")
    return f"{readable}-{uuid.uuid4().hex[:8]}"


def _for_one_test(enrollment: Enrollment) -> Iterator[Enrollment]:
    yield enrollment
    unmet = enrollment.unmet_faults
    enrollment.clear_faults()
    enrollment.remove()
    if unmet:
        pytest.fail("\n".join(f"no request met the fault {fault}" for fault in unmet), pytrace=False)
