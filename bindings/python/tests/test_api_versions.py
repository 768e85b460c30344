"""The hub's connection profile and the issued chain, by each API version and over each transport, with both clients."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from dps_client import Assignment, AsyncProvisioningClient, ConfigurationError, OperationalKey, ProvisioningClient
from dps_client.emulator import ClientKwargs, Emulator, Enrollment, Transport
from vectors import read

TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]
HUBS = {"classic": "hub-a.test", "mqttV5": "hub-5.test"}


@pytest.fixture(scope="module")
def devices() -> Iterator[dict[str, Enrollment]]:
    """A device on a hub of each profile."""
    profiles = Emulator(hubs=list(HUBS.values()), hub_profiles={"hub-5.test": "mqttV5"}, retry_after=0, assigning=0)
    with profiles as emulator:
        policy = "factory/line-ca/devices"
        yield {
            profile: emulator.enroll(f"on-{profile}", hubs=[hub], certificate_policy=policy)
            for profile, hub in HUBS.items()
        }


def both(kwargs: ClientKwargs, **options: Any) -> list[Assignment]:
    """What each of the clients receives."""
    blocking = ProvisioningClient(**kwargs, **options)
    awaiting = AsyncProvisioningClient(**kwargs, **options)
    return [blocking.register(), asyncio.run(awaiting.register())]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("version", read("api-versions.json")["versions"], ids=lambda version: version["apiVersion"])
def test_profile_and_chain_follow_the_api_version(
    devices: dict[str, Enrollment], version: dict[str, str], transport: Transport
) -> None:
    for profile, device in devices.items():
        request = OperationalKey.generate().certificate_request(device.registration_id)
        options = {"api_version": version["apiVersion"], "certificate_request": request}
        for assignment in both(device.client_kwargs(transport), **options):
            assert assignment.hub == HUBS[profile]
            assert len(assignment.issued_chain) == (3 if version["certificateRequest"] == "issued" else 0)
            assert (assignment.connection_profile or "not reported") == version[profile]


def test_profile_is_asked_for_by_an_option(devices: dict[str, Enrollment]) -> None:
    kwargs = devices["mqttV5"].client_kwargs()
    assert [found.connection_profile for found in both(kwargs)] == [None, None]
    assert [found.connection_profile for found in both(kwargs, connection_profile=True)] == ["mqttV5", "mqttV5"]
    assert ProvisioningClient(**kwargs).lookup().connection_profile is None
    assert ProvisioningClient(**kwargs, connection_profile=True).lookup().connection_profile == "mqttV5"
    with pytest.raises(ConfigurationError, match="does not report the connection profile"):
        ProvisioningClient(**kwargs, connection_profile=True, api_version="2026-11-01")


def test_hub_credentials_are_refused_for_a_hub_that_is_not_classic(devices: dict[str, Enrollment]) -> None:
    for assignment in both(devices["mqttV5"].client_kwargs(), connection_profile=True):
        for refused in (assignment.hub_credentials, assignment.connection_string):
            with pytest.raises(ConfigurationError, match=r"hub-5\.test has the connection profile `mqttV5`") as error:
                refused()
            assert error.value.name == "unsupported-profile"
    for assignment in both(devices["classic"].client_kwargs(), connection_profile=True):
        assert assignment.hub_credentials().client_id == "on-classic"
        assert assignment.connection_string() is not None


def test_unknown_words_are_kept_and_unknown_members_change_nothing() -> None:
    with Emulator(assign_at_once=True) as emulator:
        device = emulator.enroll("dev-01")
        client = ProvisioningClient(**device.client_kwargs(), connection_profile=True)
        for state, expected in (({"connectionProfile": "mqttV6"}, "mqttV6"), ({"later": {"a": [1]}}, "classic")):
            device.inject("patch-reply", at="register", patch={"later": [1], "registrationState": state}, times=1)
            assert client.register().connection_profile == expected
