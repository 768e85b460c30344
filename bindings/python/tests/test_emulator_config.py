"""An emulator from a configuration file, and its clock."""

import ssl
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from dps_client import ProvisioningClient, ServiceError
from dps_client.emulator import Emulator

KEY = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
CONFIG = """
mqttPort = false
assignAtOnce = true
[[hubs]]
name = "hub-c.test"
[[enrollments]]
registrationId = "dev-01"
attestation = { type = "symmetricKey", symmetricKey = { primaryKeyFile = "dev-01.key" } }
[[enrollmentGroups]]
enrollmentGroupId = "line-1"
"""


def config(folder: Path, text: str = CONFIG) -> Path:
    key = folder / "dev-01.key"
    key.write_text(KEY)
    key.chmod(0o600)
    path = folder / "emulator.toml"
    path.write_text(text)
    return path


def test_emulator_starts_from_a_configuration(tmp_path: Path) -> None:
    with Emulator.from_config(config(tmp_path)) as emulator:
        enrollment = emulator.enrollment("dev-01")
        assert ProvisioningClient(**enrollment.client_kwargs()).register().hub == "hub-c.test"
        grouped = emulator.group("line-1").device("dev-02")
        assert ProvisioningClient(**grouped.client_kwargs("mqtt-ws")).register().hub == "hub-c.test"
        with pytest.raises(ValueError, match="does not listen for 'mqtt'"):
            enrollment.client_kwargs("mqtt")
        with pytest.raises(KeyError):
            emulator.enrollment("dev-03")
        with pytest.raises(KeyError):
            emulator.group("line-2")


def test_mistake_in_a_configuration_is_reported_with_its_place(tmp_path: Path) -> None:
    emulator = Emulator.from_config(config(tmp_path, "idScope = '0ne1'\nhttpsPort = 'x'\n"))
    with pytest.raises(ValueError, match=r"emulator\.toml:2:13: 'httpsPort' must be a whole number"):
        emulator.start()
    with pytest.raises(FileNotFoundError, match="absent"):
        Emulator.from_config(tmp_path / "absent.toml").start()


def test_health_is_answered_without_a_credential(dps_emulator: Emulator) -> None:
    context = ssl.create_default_context(cadata=dps_emulator.ca_pem)
    url = f"https://localhost:{dps_emulator.https_port}/readyz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(url, timeout=30) as reply:
        assert reply.status == 200


def test_client_follows_an_advanced_clock() -> None:
    with Emulator(assign_at_once=True) as emulator:
        device = emulator.enroll("dev-01")
        emulator.advance_clock(timedelta(days=20))
        ahead = emulator.now - datetime.now(timezone.utc)
        assert timedelta(days=19) < ahead < timedelta(days=21)
        with pytest.raises(ServiceError) as refused:
            ProvisioningClient(**device.client_kwargs()).register()
        assert refused.value.name == "unauthorized"
        following = ProvisioningClient(**device.client_kwargs(), clock=lambda: emulator.now)
        assert following.register().hub == "hub-a.test"


def test_scaled_clock_makes_a_long_assignment_short() -> None:
    with Emulator(assigning=600, retry_after=600) as emulator:
        emulator.scale_clock(600)
        device = emulator.enroll("dev-01")
        assert ProvisioningClient(**device.client_kwargs()).register().hub == "hub-a.test"


def test_invalid_changes_of_the_clock_name_the_argument() -> None:
    with Emulator() as emulator:
        for factor in (0, 1001):
            with pytest.raises(ValueError, match="'factor'"):
                emulator.scale_clock(factor)
        with pytest.raises(ValueError, match="'time'"):
            emulator.advance_clock(-1)
        with pytest.raises(TypeError, match="'time'"):
            emulator.advance_clock("1h")  # type: ignore[arg-type]
