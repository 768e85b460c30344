"""Several credentials: which failures make a client of either kind try the next one."""

import asyncio
import base64
import hmac
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from dps_client import (
    Assignment,
    AsyncProvisioningClient,
    ConfigurationError,
    DpsError,
    HubCredentials,
    IssuedIdentity,
    OperationalKey,
    Progress,
    ProvisioningClient,
    SymmetricKey,
)
from dps_client.emulator import CertificateAuthority, Emulator, Enrollment, Transport

TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]
CLIENTS = [ProvisioningClient, AsyncProvisioningClient]
WRONG_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
WRONG = SymmetricKey(WRONG_KEY)


def register(client: ProvisioningClient | AsyncProvisioningClient) -> Assignment:
    if isinstance(client, AsyncProvisioningClient):
        return asyncio.run(client.register())
    return client.register()


def options(device: Enrollment, transport: Transport = "https") -> dict[str, Any]:
    """Arguments for a client whose first credential is refused and whose second is the device's."""
    kwargs: dict[str, Any] = {**device.client_kwargs(transport)}
    return {**kwargs, "attestation": WRONG, "fallback": [kwargs["attestation"]]}


def is_signed_with_the_wrong_key(credentials: HubCredentials) -> bool:
    token = dict(part.split("=", 1) for part in credentials.password().expose().split(" ")[1].split("&"))
    signed = f"{token['sr']}\n{token['se']}".encode()
    signature = hmac.digest(base64.b64decode(WRONG_KEY), signed, "sha256")
    return base64.b64decode(unquote(token["sig"])) == signature


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_next_credential_is_tried_when_the_service_refuses_one(
    dps_enrollment: Enrollment, client: Any, transport: Transport
) -> None:
    switches = []

    def watch(progress: Progress) -> None:
        if progress.step == "switching":
            switches.append((progress.refused_credential, progress.next_credential))

    made = client(**options(dps_enrollment, transport), on_progress=watch)
    assert [register(made).credential_index for _ in range(2)] == [1, 1]
    assert switches == [((0, "symmetricKey"), (1, "symmetricKey"))], "the accepted one is tried first the second time"


def test_hub_credentials_are_those_of_the_credential_that_was_accepted(dps_enrollment: Enrollment) -> None:
    kwargs = options(dps_enrollment)
    assignment = ProvisioningClient(**kwargs).register()
    # Nothing but the assignment is kept over a restart.
    restarted = ProvisioningClient(**kwargs)
    place: dict[str, Any] = {"hub": assignment.hub, "device_id": assignment.device_id}
    assert is_signed_with_the_wrong_key(restarted.hub_credentials(**place))
    assert not is_signed_with_the_wrong_key(
        restarted.hub_credentials(**place, credential_index=assignment.credential_index)
    )
    with pytest.raises(ValueError, match="'credential_index'"):
        restarted.hub_credentials(**place, credential_index=2)


@pytest.mark.parametrize("client", CLIENTS)
def test_restarted_device_begins_with_the_credential_that_was_accepted(dps_enrollment: Enrollment, client: Any) -> None:
    steps = []
    kwargs = options(dps_enrollment)
    index = register(client(**kwargs)).credential_index
    restarted = client(**kwargs, first_credential=index, on_progress=lambda progress: steps.append(progress.step))
    assert register(restarted).credential_index == 1
    assert "switching" not in steps
    with pytest.raises(ConfigurationError, match="the index 2, but the client has 2"):
        client(**kwargs, first_credential=2)


@pytest.mark.parametrize("client", CLIENTS)
def test_next_credential_is_not_tried_after_another_failure(dps_enrollment: Enrollment, client: Any) -> None:
    kwargs = dps_enrollment.client_kwargs()
    dps_enrollment.inject("server-error", at="register", status=403, times=1)
    with pytest.raises(DpsError) as error:
        register(client(**kwargs, fallback=[kwargs["attestation"]]))
    assert (error.value.name, error.value.refused_credentials) == ("forbidden", ())
    assert dps_enrollment.counters.registers == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_error_has_the_refusal_of_each_credential(dps_enrollment: Enrollment, client: Any) -> None:
    unknown = CertificateAuthority("Root").device(dps_enrollment.registration_id).attestation
    kwargs = {**options(dps_enrollment), "fallback": [unknown]}
    with pytest.raises(DpsError, match="the service refused each of the 2 credentials") as error:
        register(client(**kwargs))
    refused = [(one.index, one.kind, one.name, one.http_status) for one in error.value.refused_credentials]
    assert refused == [(0, "symmetricKey", "unauthorized", 401), (1, "x509", "unauthorized", 401)]
    assert all(one.tracking_id for one in error.value.refused_credentials)


def test_fallback_that_is_not_a_list_of_credentials_is_refused(dps_enrollment: Enrollment) -> None:
    kwargs = dps_enrollment.client_kwargs()
    wrong: Any
    for wrong in ("AAEC", WRONG, ["AAEC"]):
        with pytest.raises(TypeError, match="argument 'fallback'"):
            ProvisioningClient(**kwargs, fallback=wrong)


@pytest.mark.parametrize("client", CLIENTS)
def test_issued_certificate_is_tried_while_it_is_valid(client: Any) -> None:
    refused = []

    def watch(progress: Progress) -> None:
        refused.extend([progress.refused_credential] if progress.step == "switching" else [])

    with Emulator(assign_at_once=True) as emulator:
        device = emulator.enroll("dev-01", certificate_policy="factory/line-ca/devices")
        kwargs: dict[str, Any] = {**device.client_kwargs(), "clock": lambda: emulator.now}

        def issue() -> IssuedIdentity:
            key = OperationalKey.generate()
            request = key.certificate_request("dev-01")
            chain = ProvisioningClient(**kwargs, certificate_request=request).register().issued_chain
            return IssuedIdentity.accept(key, chain, "dev-01", now=emulator.now)

        both = {**kwargs, "attestation": issue(), "fallback": [kwargs["attestation"]]}
        # The enrollment has a key, so that the service itself does not accept the certificate.
        made = client(**both, on_progress=watch)
        assert [register(made).credential_index for _ in range(2)] == [1, 1]
        assert refused == [(0, "issued")], "the key is kept"
        made.set_issued(issue())
        assert register(made).credential_index == 1
        assert refused == [(0, "issued")] * 2, "a new certificate is tried first"
        emulator.advance_clock(timedelta(days=31))
        assert register(client(**both, on_progress=watch)).credential_index == 1
        assert refused == [(0, "issued")] * 2, "one that has expired is left out"
        with pytest.raises(ConfigurationError, match="no place for an issued certificate"):
            client(**kwargs).set_issued(issue())

        empty = client(**{**both, "attestation": None}, on_progress=watch)
        assert register(empty).credential_index == 1
        assert refused == [(0, "issued")] * 2, "nothing was issued yet"
        empty.set_issued(issue())
        assert register(empty).credential_index == 1
        assert refused == [(0, "issued")] * 3
        with pytest.raises(ConfigurationError, match=r"a credential .* is missing"):
            client(**{**kwargs, "attestation": None})
