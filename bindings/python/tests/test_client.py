"""Registering over every transport, with both clients: assignment, progress, resuming, signers."""

import asyncio
import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from dps_client import (
    Assignment,
    AsyncProvisioningClient,
    ConfigurationError,
    DpsError,
    GroupKey,
    HubCredentials,
    LinkError,
    LocalError,
    Progress,
    ProvisioningClient,
    RegistrationRecord,
    ServiceError,
    Signer,
    SymmetricKey,
)
from dps_client.emulator import ClientKwargs, Emulator, Enrollment, Transport

TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]


def sync(kwargs: ClientKwargs) -> Assignment:
    return ProvisioningClient(**kwargs).register()


def awaited(kwargs: ClientKwargs) -> Assignment:
    return asyncio.run(AsyncProvisioningClient(**kwargs).register())


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("register", [sync, awaited])
def test_device_registers(
    dps_enrollment: Enrollment, transport: Transport, register: Callable[[ClientKwargs], Assignment]
) -> None:
    assignment = register(dps_enrollment.client_kwargs(transport))
    assert (assignment.hub, assignment.device_id) == ("hub-a.test", dps_enrollment.registration_id)
    assert (assignment.status, assignment.substatus) == ("assigned", "initialAssignment")
    assert assignment.registration_id == dps_enrollment.registration_id
    assert assignment.operation_id and assignment.payload is None
    assert timedelta() < assignment.elapsed < timedelta(seconds=60)
    assert dps_enrollment.counters.registers == 1
    with pytest.raises(AttributeError):
        assignment.hub = "another"  # type: ignore[misc]


def test_group_key_registers_every_device(dps_emulator: Emulator) -> None:
    group = dps_emulator.enroll_group("line-1", desired={"interval": 5})
    kwargs = group.device("press-7").client_kwargs()
    kwargs["attestation"] = GroupKey(group.key)
    assert ProvisioningClient(**kwargs).register().device_id == "press-7"
    assert ProvisioningClient(**group.device("press-8").client_kwargs()).register().device_id == "press-8"
    entry = group.device("press-8").hub_device
    assert entry is not None and entry.desired == {"interval": 5}
    group.remove()


def test_payload_of_webhook_is_returned_as_python_objects() -> None:
    with Emulator(echo_payload=True, retry_after=0, assigning=0) as emulator:
        device = emulator.enroll("dev-01")
        payload = {"model": "dtmi:a;1", "list": [1, 2.5, None, True], "text": "zwölf"}
        client = ProvisioningClient(**device.client_kwargs(), payload=payload)
        assignment = client.register()
        assert assignment.payload == payload
        first = assignment.payload
        assert first is not None
        first.clear()
        assert assignment.payload == payload
        record = asyncio.run(AsyncProvisioningClient(**device.client_kwargs()).lookup())
        assert (record.status, record.hub, record.payload) == ("assigned", "hub-a.test", payload)


def test_lookup_does_not_register(dps_enrollment: Enrollment) -> None:
    client = ProvisioningClient(**dps_enrollment.client_kwargs())
    with pytest.raises(ServiceError) as unknown:
        client.lookup()
    assert unknown.value.name == "not-found"
    client.register()
    record = client.lookup()
    assert isinstance(record, RegistrationRecord)
    assert (record.hub, record.device_id, record.error_code) == ("hub-a.test", dps_enrollment.registration_id, None)
    with pytest.raises(DpsError, match="transport"):
        ProvisioningClient(**dps_enrollment.client_kwargs("mqtt")).lookup()


def test_hub_accepts_connection_string_and_credentials(dps_enrollment: Enrollment) -> None:
    assignment = ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    text = assignment.connection_string()
    assert text is not None
    key = dps_enrollment.key.expose()
    assert text.expose() == f"HostName=hub-a.test;DeviceId={dps_enrollment.registration_id};SharedAccessKey={key}"
    credentials = assignment.hub_credentials()
    assert (credentials.hub, credentials.client_id) == ("hub-a.test", dps_enrollment.registration_id)
    assert credentials.user_name == f"hub-a.test/{dps_enrollment.registration_id}/?api-version=2021-04-12"
    password = credentials.password()
    assert dps_enrollment.hub_accepts(password.expose())
    assert credentials.password().expose() == password.expose()
    hour = password.expires_at - datetime.now(timezone.utc)
    assert timedelta(minutes=59) < hour <= timedelta(hours=1)
    assert asyncio.run(await_password(credentials)) == password.expose()
    short = assignment.hub_credentials(password_life=timedelta(minutes=5)).password()
    assert short.expires_at < password.expires_at


def test_connection_string_refuses_a_device_id_with_a_semicolon() -> None:
    with Emulator(assigning=0) as emulator:
        assignment = sync(emulator.enroll("dev-01", device_id="x;HostName=evil").client_kwargs())
    assert assignment.device_id == "x;HostName=evil"
    with pytest.raises(ConfigurationError, match=";") as refused:
        assignment.connection_string()
    assert refused.value.name == "invalid-option"
    assert assignment.hub_credentials().client_id == "x;HostName=evil"


async def await_password(credentials: HubCredentials) -> str:
    return (await credentials.password_async()).expose()


@pytest.mark.parametrize("face", ["sync", "async"])
def test_on_progress_is_called_in_order(face: str) -> None:
    told: list[Progress] = []
    with Emulator(retry_after=1, assigning=0.5) as emulator:
        kwargs = emulator.enroll("dev-01").client_kwargs()
        if face == "sync":
            ProvisioningClient(**kwargs, on_progress=told.append).register()
        else:
            asyncio.run(AsyncProvisioningClient(**kwargs, on_progress=told.append).register())
    steps = [(progress.step, progress.call) for progress in told]
    assert steps == [("signing", None), ("sending", "register"), ("waiting", None), ("sending", "status")]
    wait = told[2].wait
    assert wait is not None and timedelta(seconds=0.9) < wait <= timedelta(seconds=1)
    assert told[2].resume_token


@pytest.mark.parametrize("face", ["sync", "async"])
def test_exception_in_on_progress_ends_the_registration(dps_enrollment: Enrollment, face: str) -> None:
    class Enough(BaseException):
        pass

    def watch(progress: Progress) -> None:
        if progress.step == "sending":
            raise Enough

    kwargs = dps_enrollment.client_kwargs()
    with pytest.raises(Enough):
        if face == "sync":
            ProvisioningClient(**kwargs, on_progress=watch).register()
        else:
            asyncio.run(AsyncProvisioningClient(**kwargs, on_progress=watch).register())
    assert dps_enrollment.record is None or dps_enrollment.record.status != "assigned"


def test_operation_is_resumed_instead_of_registered_again() -> None:
    tokens: list[str] = []

    class PowerCut(Exception):
        pass

    def watch(progress: Progress) -> None:
        if progress.resume_token:
            tokens.append(progress.resume_token)
            raise PowerCut

    with Emulator(retry_after=1, assigning=0) as emulator:
        device = emulator.enroll("dev-01")
        with pytest.raises(PowerCut):
            ProvisioningClient(**device.client_kwargs(), on_progress=watch).register()
        assert ProvisioningClient(**device.client_kwargs()).resume(tokens[0]).hub == "hub-a.test"
        assert (device.counters.registers, device.counters.polls) == (1, 1)
        with pytest.raises(ValueError, match="another"):
            other = emulator.enroll("dev-02")
            ProvisioningClient(**other.client_kwargs()).resume(tokens[0])


def test_error_after_registering_has_a_resume_token() -> None:
    with Emulator(retry_after=0, assigning=0) as emulator:
        device = emulator.enroll("dev-01")
        device.inject("drop-before", at="poll", times=1000)
        with pytest.raises(LinkError) as cut:
            ProvisioningClient(**device.client_kwargs(), timeout=2).register()
        assert cut.value.verdict == "after"
        token = cut.value.resume_token
        assert token
        device.clear_faults()
        assert ProvisioningClient(**device.client_kwargs()).resume(token).hub == "hub-a.test"
        assert device.counters.registers == 1


def hmac_of(key: str, to_sign: bytes) -> bytes:
    return hmac.digest(base64.b64decode(key), to_sign, hashlib.sha256)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("face", ["sync", "async"])
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_signer_signs(dps_enrollment: Enrollment, transport: Transport, face: str, kind: str) -> None:
    key = dps_enrollment.key.expose()
    loops: list[asyncio.AbstractEventLoop] = []

    def plain(to_sign: bytes) -> bytes:
        return hmac_of(key, to_sign)

    async def coroutine(to_sign: bytes) -> bytes:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return hmac_of(key, to_sign)

    kwargs = dps_enrollment.client_kwargs(transport)
    kwargs["attestation"] = Signer(plain if kind == "plain" else coroutine)

    async def register() -> Assignment:
        assignment = await AsyncProvisioningClient(**kwargs).register()
        password = await assignment.hub_credentials().password_async()
        assert dps_enrollment.hub_accepts(password.expose())
        assert all(loop is asyncio.get_running_loop() for loop in loops)
        return assignment

    if face == "sync":
        assignment = ProvisioningClient(**kwargs).register()
        assert dps_enrollment.hub_accepts(assignment.hub_credentials().password().expose())
    else:
        assignment = asyncio.run(register())
    assert assignment.hub == "hub-a.test"
    assert assignment.connection_string() is None
    assert len(loops) == (2 if kind == "coroutine" else 0)


@pytest.mark.parametrize("face", ["sync", "async"])
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_exception_of_signer_is_the_cause(dps_enrollment: Enrollment, face: str, kind: str) -> None:
    class Locked(Exception):
        pass

    def plain(to_sign: bytes) -> bytes:
        raise Locked

    async def coroutine(to_sign: bytes) -> bytes:
        raise Locked

    kwargs = dps_enrollment.client_kwargs()
    kwargs["attestation"] = Signer(plain if kind == "plain" else coroutine)
    with pytest.raises(LocalError) as failed:
        if face == "sync":
            ProvisioningClient(**kwargs).register()
        else:
            asyncio.run(AsyncProvisioningClient(**kwargs).register())
    assert failed.value.name == "signer-failed"
    assert isinstance(failed.value.__cause__, Locked)
    assert dps_enrollment.counters.registers == 0


@pytest.mark.parametrize(
    ("answer", "complaint"), [(b"short", "not 5 bytes"), ("text", "not str"), (None, "not NoneType")]
)
def test_invalid_result_of_signer_is_reported(dps_enrollment: Enrollment, answer: object, complaint: str) -> None:
    kwargs = dps_enrollment.client_kwargs()
    kwargs["attestation"] = Signer(lambda to_sign: answer)  # type: ignore[arg-type, return-value]
    with pytest.raises(LocalError) as failed:
        ProvisioningClient(**kwargs).register()
    assert re.search(complaint, str(failed.value.__cause__))


def test_signer_that_hangs_ends_at_the_deadline(dps_enrollment: Enrollment) -> None:
    async def coroutine(to_sign: bytes) -> bytes:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return b""

    cancelled: list[bool] = []
    kwargs = dps_enrollment.client_kwargs()
    kwargs["attestation"] = Signer(coroutine)

    async def register() -> None:
        with pytest.raises(LocalError) as late:
            await AsyncProvisioningClient(**kwargs, request_timeout=0.2).register()
        assert late.value.name == "signer-timeout"
        until = time.monotonic() + 20
        while not cancelled and time.monotonic() < until:
            await asyncio.sleep(0.01)

    asyncio.run(register())
    assert cancelled == [True]


def test_repr_of_client_has_no_key(dps_enrollment: Enrollment) -> None:
    kwargs = dps_enrollment.client_kwargs()
    assert repr(ProvisioningClient(**kwargs)) == f"ProvisioningClient(registration_id='{kwargs['registration_id']}')"
    assert SymmetricKey(dps_enrollment.key).to_base64().expose() == dps_enrollment.key.expose()


@pytest.mark.parametrize("transport", ["https", "mqtt", "mqtt-ws"])
def test_certificate_is_checked_by_the_supplied_clock(dps_emulator: Emulator, transport: Transport) -> None:
    enrollment = dps_emulator.enroll("dev-clock")
    kwargs = enrollment.client_kwargs(transport=transport)
    later = timedelta(days=40 * 366)  # The emulator's certificate ends before.
    with pytest.raises(LinkError) as expired:
        ProvisioningClient(**kwargs, clock=lambda: datetime.now(timezone.utc) + later).register()
    assert expired.value.name == "certificate-expired"
    assert ProvisioningClient(**kwargs, clock=lambda: time.time() + 60).register().hub


def test_exception_of_clock_ends_the_call(dps_enrollment: Enrollment) -> None:
    def broken() -> float:
        raise ValueError("the clock chip does not answer")

    kwargs = dps_enrollment.client_kwargs()
    with pytest.raises(ValueError, match="clock chip"):
        ProvisioningClient(**kwargs, clock=broken).register()
    with pytest.raises(TypeError, match="a clock must return seconds"):
        ProvisioningClient(**kwargs, clock=lambda: "noon").register()  # type: ignore[arg-type, return-value]
    with pytest.raises(LocalError) as unknown:
        ProvisioningClient(**kwargs, clock=lambda: None).register()
    assert unknown.value.name == "clock-needed"
    with pytest.raises(TypeError, match="'clock'"):
        ProvisioningClient(**kwargs, clock=5)  # type: ignore[arg-type]
