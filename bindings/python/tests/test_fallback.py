"""Several credentials: which failures make a client of either kind try the next one."""

import asyncio
from typing import Any

import pytest
from dps_client import (
    Assignment,
    AsyncProvisioningClient,
    DpsError,
    Progress,
    ProvisioningClient,
    SymmetricKey,
)
from dps_client.emulator import CertificateAuthority, Enrollment, Transport

TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]
CLIENTS = [ProvisioningClient, AsyncProvisioningClient]
WRONG = SymmetricKey("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")


def register(client: ProvisioningClient | AsyncProvisioningClient) -> Assignment:
    if isinstance(client, AsyncProvisioningClient):
        return asyncio.run(client.register())
    return client.register()


def options(device: Enrollment, transport: Transport = "https") -> dict[str, Any]:
    """Arguments for a client whose first credential is refused and whose second is the device's."""
    kwargs: dict[str, Any] = {**device.client_kwargs(transport)}
    return {**kwargs, "attestation": WRONG, "fallback": [kwargs["attestation"]]}


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


def test_fallback_that_is_not_a_list_of_credentials_is_refused(dps_enrollment: Enrollment) -> None:
    kwargs = dps_enrollment.client_kwargs()
    wrong: Any
    for wrong in ("AAEC", WRONG, ["AAEC"]):
        with pytest.raises(TypeError, match="argument 'fallback'"):
            ProvisioningClient(**kwargs, fallback=wrong)
