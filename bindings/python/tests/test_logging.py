"""Events of the Rust crates are logged under one logger, and logs, exceptions and representations have no secrets."""

import asyncio
import base64
import logging
import pickle
import re
import traceback
from collections.abc import Iterator
from urllib.parse import parse_qs, quote

import pytest
from dps_client import Assignment, AsyncProvisioningClient, DpsError, ProvisioningClient, Signer, SymmetricKey
from dps_client.emulator import Emulator, Enrollment, Transport

TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(1):
        yield caplog


def test_events_are_logged_under_the_package_logger(
    dps_enrollment: Enrollment, everything: pytest.LogCaptureFixture
) -> None:
    ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    ours = [record for record in everything.records if record.name == "dps_client"]
    start = next(record for record in ours if record.getMessage().startswith("start "))
    assert start.levelno == logging.INFO
    assert f"registration_id={dps_enrollment.registration_id}" in start.getMessage()
    assert start.filename.endswith(".rs") and start.lineno > 0
    assert any(record.getMessage().startswith("assigned ") for record in ours)
    assert all(record.name.split(".")[0] in ("dps_client", "asyncio") for record in everything.records)


def test_levels_are_honored_and_can_change(dps_enrollment: Enrollment, caplog: pytest.LogCaptureFixture) -> None:
    client = ProvisioningClient(**dps_enrollment.client_kwargs())
    with caplog.at_level(logging.ERROR, "dps_client"):
        client.register()
    assert not caplog.records
    with caplog.at_level(logging.INFO, "dps_client"):
        client.lookup()
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_log_handler_that_raises_does_not_end_a_registration(dps_enrollment: Enrollment) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("the disk is full")

    logger, handler = logging.getLogger("dps_client"), Broken()
    logger.addHandler(handler)
    try:
        assert ProvisioningClient(**dps_enrollment.client_kwargs()).register().hub == "hub-a.test"
    finally:
        logger.removeHandler(handler)


def forms(secret: bytes) -> set[str]:
    """Returns a secret in every form in which it could appear."""
    text = base64.b64encode(secret).decode()
    escaped = quote(text, safe="")
    lower = re.sub("%..", lambda match: match[0].lower(), escaped)
    listed = ", ".join(str(byte) for byte in secret)
    url_safe = base64.urlsafe_b64encode(secret).decode().rstrip("=")
    return {text, text.rstrip("="), escaped, lower, url_safe, secret.hex(), secret.hex().upper(), listed, repr(secret)}


def seen(shown: str, secrets: list[bytes]) -> set[str]:
    return {form for secret in secrets for form in forms(secret) if form in shown}


def test_search_for_secrets_finds_them() -> None:
    secret = bytes(range(200, 232))
    for form in forms(secret):
        assert seen(f"<{form}>", [secret])
    assert not seen("Secret(..)", [secret])


def attempt(client: ProvisioningClient, shown: list[str]) -> Assignment | None:
    """Registers and returns what is shown of an error, local variables too. No secret is a variable here."""
    try:
        return client.register()
    except DpsError as error:
        with_locals = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown += [repr(error), repr(vars(error)), str(pickle.dumps(error)), "".join(with_locals.format())]
        return None


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("ending", ["assigned", "refused", "throttled", "cut", "garbage"])
def test_no_secret_is_shown(
    dps_emulator: Emulator, everything: pytest.LogCaptureFixture, transport: Transport, ending: str
) -> None:
    device = dps_emulator.enroll(f"quiet-{transport}-{ending}")
    key = SymmetricKey(device.key)
    secrets = [base64.b64decode(device.key.expose()), base64.b64decode(device.secondary_key.expose())]

    def sign(to_sign: bytes) -> bytes:
        signature = key.sign(to_sign)
        secrets.append(signature)
        return b"\x01" * 32 if ending == "refused" else signature

    shown: list[str] = []
    for attestation in (Signer(sign), SymmetricKey("A" * 43) if ending == "refused" else key):
        if ending == "throttled":
            device.inject("throttle", retry_after=3600)
        elif ending == "cut":
            device.inject("drop-after", times=1000)
        elif ending == "garbage":
            device.inject("garbage", times=1000)
        kwargs = device.client_kwargs(transport)
        kwargs["attestation"] = attestation
        told: list[object] = []
        client = ProvisioningClient(**kwargs, timeout=60 if ending == "assigned" else 1, on_progress=told.append)
        shown += [repr(client), repr(kwargs), repr(device)]
        assignment = attempt(client, shown)
        assert (assignment is not None) == (ending == "assigned")
        if assignment is not None:
            credentials = assignment.hub_credentials()
            password = credentials.password()
            fields = parse_qs(password.expose().removeprefix("SharedAccessSignature "))
            secrets.append(base64.b64decode(fields["sig"][0]))
            shown += [repr(assignment), repr(credentials), repr(password), repr(assignment.connection_string())]
        shown += [repr(told), repr(dps_emulator), repr(device.refusals), repr(device.counters)]
        device.clear_faults()
        if ending == "assigned":
            asyncio.run(AsyncProvisioningClient(**kwargs).register())
    shown += [f"{record.name} {record.getMessage()} {record.__dict__}" for record in everything.records]
    assert len(everything.records) > 5
    assert not seen("\n".join(shown), secrets)
