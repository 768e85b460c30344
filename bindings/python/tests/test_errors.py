"""Exceptions match the error catalogue in numbers, names and families, and can be pickled."""

import errno
import inspect
import os
import pickle
import re
import subprocess
import sys
import typing
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import dps_client.errors
import pytest
import vectors
from dps_client import (
    ConfigurationError,
    DpsError,
    GroupKey,
    Hint,
    LinkError,
    LocalError,
    ProvisioningClient,
    Secret,
    ServiceError,
    Signer,
    SymmetricKey,
    _native,
    derive_device_key,
    derive_device_keys,
    sas_token,
)
from dps_client.emulator import Emulator, Enrollment
from dps_client.errors import FileError, FileMissingError

UTC = timezone.utc
CATALOGUE = vectors.read("errors.json")


def test_catalogue_matches_the_shared_one() -> None:
    errors = [(error["number"], error["name"], error["family"], error["text"]) for error in CATALOGUE["errors"]]
    assert _native.error_catalogue() == errors
    assert _native.hint_catalogue() == [(hint["name"], hint["text"]) for hint in CATALOGUE["hints"]]


@pytest.mark.parametrize("error", CATALOGUE["errors"], ids=lambda error: error["name"])
def test_each_family_has_its_class_and_each_fact_its_attribute(error: dict[str, Any]) -> None:
    made = dps_client.errors.from_native(
        f"{error['text']} (status 418)",
        code=error["number"],
        name=error["name"],
        family=error["family"],
        message=error["text"],
        verdict="after",
        retry_after=timedelta(seconds=7),
        http_status=418,
        error_code=418001,
        tracking_id="t",
        timestamp="2026-01-01T00:00:00Z",
        hints=[("check-clock", "look")],
        clock_skew_seconds=-90,
        needed_bytes=5,
        resume_token="r",
    )
    family: type[DpsError] = getattr(dps_client.errors, error["family"].capitalize() + "Error")
    assert isinstance(made, family)
    assert isinstance(made, TimeoutError) == ("timeout" in error["name"])
    assert isinstance(made, OSError) == ("timeout" in error["name"] or error["name"] == "file")
    for whole in (made, pickle.loads(pickle.dumps(made))):
        assert type(whole) is type(made)
        assert (str(whole), whole.code, whole.name, whole.family) == (
            f"{error['text']} (status 418)",
            error["number"],
            error["name"],
            error["family"],
        )
        assert (whole.hints, whole.clock_skew) == ((Hint("check-clock", "look"),), timedelta(seconds=-90))
        assert vars(whole) == vars(made)


def test_exception_has_the_service_error(dps_enrollment: Enrollment) -> None:
    dps_enrollment.inject("server-error", status=403)
    with pytest.raises(ServiceError) as refused:
        ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    error = refused.value
    assert (error.code, error.name, error.family, error.verdict) == (4002, "forbidden", "service", "never")
    assert (error.http_status, error.retry_after) == (403, None)
    assert error.error_code is not None and error.error_code // 1000 == 403
    assert error.tracking_id and error.tracking_id in str(error)
    assert [hint.name for hint in error.hints] == ["check-proxy", "keep-tracking-id"]
    assert error.hints[0].text in str(error)


def test_retry_after_is_a_timedelta(dps_enrollment: Enrollment) -> None:
    dps_enrollment.inject("throttle", retry_after=3600)
    with pytest.raises(ServiceError) as throttled:
        ProvisioningClient(**dps_enrollment.client_kwargs(), timeout=10).register()
    assert (throttled.value.name, throttled.value.verdict) == ("throttled", "after")
    assert throttled.value.retry_after is not None
    assert throttled.value.retry_after >= timedelta(hours=1)


def test_wrong_clock_is_the_first_hint(dps_enrollment: Enrollment, dps_emulator: Emulator) -> None:
    dps_emulator.set_clock_offset(timedelta(days=2))
    try:
        with pytest.raises(ServiceError) as refused:
            ProvisioningClient(**dps_enrollment.client_kwargs()).register()
        assert refused.value.clock_skew is not None
        assert timedelta(days=1.9) < refused.value.clock_skew < timedelta(days=2.1)
        assert refused.value.hints[0].name == "clock-behind"
        assert ProvisioningClient(**dps_enrollment.client_kwargs(), correct_clock=True).register().hub
    finally:
        dps_emulator.set_clock_offset(0)


@pytest.mark.parametrize("transport", ["mqtt", "mqtt-ws"])
def test_clock_is_corrected_over_mqtt_by_the_time_from_service_time_port(
    dps_enrollment: Enrollment, dps_emulator: Emulator, transport: Literal["mqtt", "mqtt-ws"]
) -> None:
    port = int(dps_enrollment.client_kwargs()["endpoint"].rpartition(":")[2])
    options = dps_enrollment.client_kwargs(transport)
    dps_emulator.set_clock_offset(timedelta(days=2))
    try:
        with pytest.raises(ServiceError):
            ProvisioningClient(**options, service_time_port=port).register()
        assert ProvisioningClient(**options, service_time_port=port, correct_clock=True).register().hub
    finally:
        dps_emulator.set_clock_offset(0)


GOOD: dict[str, Any] = {"id_scope": "0ne00A1B2C3", "registration_id": "a", "attestation": SymmetricKey("A" * 43)}


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"id_scope": "no scope"}, "'id_scope'.*id scope"),
        ({"id_scope": "\ud800"}, "'id_scope'.*surrogate"),
        ({"registration_id": ""}, "'registration_id'.*registration id"),
        ({"endpoint": "http://x"}, "'endpoint'.*scheme"),
        ({"endpoint": "mqtts://x:8883"}, "'endpoint'.*scheme"),
        ({"transport": "amqp"}, "'transport'"),
        ({"payload": [1]}, "'payload'.*not a JSON object"),
        ({"timeout": -1}, "'timeout'.*-1"),
        ({"timeout": float("nan")}, "'timeout'.*(?i:nan)"),
        ({"timeout": 0}, "'timeout'"),
        ({"timeout": 10**400}, "'timeout'"),
        ({"request_timeout": timedelta.max}, "'request_timeout'"),
        ({"poll_interval": 0}, "'poll_interval'"),
        ({"minimum_spacing": -0.1}, "'minimum_spacing'"),
        ({"token_life": 0}, "'token_life'"),
        ({"token_life": float("inf")}, "'token_life'"),
        ({"keep_alive": 0, "transport": "mqtt"}, "'keep_alive'"),
        ({"reply_limit": 0}, "'reply_limit'"),
        ({"reply_limit": -1}, "'reply_limit'"),
        ({"reply_limit": 2**70}, "'reply_limit'"),
        ({"seed": -1}, "'seed'"),
        ({"seed": 2**32}, "'seed'"),
        ({"ca_pem": "hello"}, "'ca_pem'.*not PEM"),
        ({"ca_pem": "x", "ca_file": "y"}, "set only one"),
        ({"proxy": "ftp://proxy.test"}, "'proxy'.*http"),
        ({"api_version": "latest"}, "2021-06-01"),
        ({"keep_alive": 30}, "only MQTT"),
        ({"pipelined": True}, "only MQTT"),
        ({"service_time_port": 8443}, "HTTPS carries the service's time"),
        ({"service_time_port": 0, "transport": "mqtt"}, "'service_time_port'.*1 to 65535"),
        ({"service_time_port": 65536, "transport": "mqtt"}, "'service_time_port'.*1 to 65535"),
    ],
    ids=str,
)
def test_bad_value_is_a_value_error_that_names_the_argument(option: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as refused:
        ProvisioningClient(**{**GOOD, **option})
    # Not in a note, which Python 3.10 does not support.
    assert re.search(text, str(refused.value))


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"id_scope": 5}, "'id_scope'.*int"),
        ({"attestation": "A" * 43}, "'attestation'.*SymmetricKey"),
        ({"timeout": "soon"}, "'timeout'.*seconds or a timedelta, not str"),
        ({"timeout": True}, "'timeout'.*not bool"),
        ({"reply_limit": 1.5}, "'reply_limit'.*not float"),
        ({"reply_limit": True}, "'reply_limit'.*not bool"),
        ({"seed": "x"}, "'seed'.*not str"),
        ({"correct_clock": 1}, "'correct_clock'.*bool"),
        ({"service_time_port": "443"}, "'service_time_port'.*not str"),
        ({"ca_pem": 5}, "'ca_pem'.*not int"),
        ({"ca_file": 5}, "'ca_file'"),
        ({"endpoint": 5}, "'endpoint'.*not int"),
        ({"transport": None, "endpoint": b"x"}, "'endpoint'.*not bytes"),
        ({"proxy": True}, "'proxy'.*False or None"),
        ({"on_progress": "print"}, "'on_progress'.*callable"),
        ({"payload": {"a": {1, 2}}}, "'payload'.*JSON"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_value_of_the_wrong_type_is_a_type_error_that_names_the_argument(option: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError) as refused:
        ProvisioningClient(**{**GOOD, **option})
    assert re.search(text, str(refused.value))


def test_bad_resume_token_is_refused_before_anything_is_sent() -> None:
    client = ProvisioningClient(**GOOD)
    with pytest.raises(ValueError, match=r"'resume_token'.*operation"):
        client.resume("nonsense")
    with pytest.raises(TypeError, match=r"'resume_token'.*not int"):
        client.resume(1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: SymmetricKey("short"), "'key'"),
        (lambda: SymmetricKey(5), "'key'"),  # type: ignore[arg-type]
        (lambda: SymmetricKey.from_bytes("text"), "'raw'"),  # type: ignore[arg-type]
        (lambda: SymmetricKey.from_file(5), "'path'"),  # type: ignore[arg-type]
        (lambda: SymmetricKey("A" * 43).sign("text"), "'message'"),  # type: ignore[arg-type]
        (lambda: Secret(5), "'text'"),  # type: ignore[arg-type]
        (lambda: Signer(5), "'sign'"),  # type: ignore[arg-type]
        (lambda: GroupKey("A" * 43).derive(5), "'registration_id'"),  # type: ignore[arg-type]
        (lambda: derive_device_key(5, "a"), "'group_key'"),  # type: ignore[arg-type]
        (lambda: derive_device_key("A" * 43, 5), "'registration_id'"),  # type: ignore[arg-type]
        (lambda: sas_token(5, hub="h", device_id="d"), "'key'"),  # type: ignore[arg-type]
        (lambda: sas_token("A" * 43, hub=5, device_id="d"), "'hub'"),  # type: ignore[arg-type]
        (lambda: sas_token("A" * 43, hub="h", device_id="d", expires_at="x"), "'expires_at'"),  # type: ignore[arg-type]
        (lambda: Emulator(rate_limits=1), "'rate_limits'"),  # type: ignore[arg-type]
        (lambda: Emulator(id_scope=1), "'id_scope'"),  # type: ignore[arg-type]
        (lambda: SymmetricKey.from_bytes(b""), "'raw'"),
        (lambda: GroupKey("short"), "'key'"),
        (lambda: GroupKey("A" * 43).derive("no id"), "'registration_id'"),
        (lambda: GroupKey("A" * 43).derive("\ud800"), "'registration_id'"),
        (lambda: derive_device_key("short", "a"), "'group_key'"),
        (lambda: derive_device_key("A" * 43, "no id"), "'registration_id'"),
        (lambda: derive_device_keys("short", []), "'group_key'"),
        (lambda: sas_token("short", hub="h", device_id="d"), "'key'"),
        (lambda: sas_token("A" * 43, id_scope="no scope", registration_id="a"), "'id_scope'"),
        (lambda: sas_token("A" * 43, hub="h", device_id="d", life=0), "'life'"),
        (lambda: sas_token("A" * 43, hub="h", device_id="d", life=1e300), "'life'"),
        (lambda: sas_token("A" * 43, hub="h", device_id="d", expires_at=-1), "'expires_at'"),
        (lambda: sas_token("A" * 43, hub="h", device_id="d", expires_at=2**70), "'expires_at'"),
        (lambda: sas_token("A" * 43, hub="h", device_id="d", expires_at=datetime(1, 1, 1, tzinfo=UTC)), "'expires_at'"),
        (lambda: Emulator(clock_offset=float("inf")).start(), "'clock_offset'"),
        (lambda: Emulator(assigning=-1).start(), "'assigning'"),
        (lambda: Emulator(retry_after=-1).start(), "'retry_after'"),
        (lambda: Emulator(retry_after={"dateOffset": 2**70}).start(), "'retry_after'"),
        (lambda: Emulator(seed=-1).start(), "'seed'"),
        (lambda: Emulator(hubs={"hub-a.test": -1}).start(), "'hubs'"),
    ],
)
def test_bad_argument_of_any_call_is_named(call: Callable[[], object], text: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        call()
    assert re.search(text, str(refused.value))


@pytest.mark.parametrize("life", [0, -1, 1e300, float("nan"), timedelta.max])
def test_password_life_that_is_too_long_is_refused(dps_enrollment: Enrollment, life: float) -> None:
    assignment = ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    with pytest.raises(ValueError, match="'password_life'"):
        assignment.hub_credentials(password_life=life)


def test_missing_file_of_either_kind_is_the_same_error_and_an_os_error(tmp_path: Path) -> None:
    gone = tmp_path / "gone.pem"
    for read in (lambda: ProvisioningClient(**GOOD, ca_file=gone), lambda: SymmetricKey.from_file(gone)):
        with pytest.raises(FileMissingError, match=r"gone\.pem") as missing:
            read()
        error = missing.value
        assert isinstance(error, LocalError) and isinstance(error, FileNotFoundError)
        assert (error.errno, error.name, error.verdict) == (errno.ENOENT, "file", "reconfigure")
        copied = pickle.loads(pickle.dumps(error))
        assert (type(copied), str(copied), copied.errno) == (type(error), str(error), error.errno)


def test_folder_in_place_of_a_file_is_an_os_error(tmp_path: Path) -> None:
    for read in (lambda: ProvisioningClient(**GOOD, ca_file=tmp_path), lambda: SymmetricKey.from_file(tmp_path)):
        with pytest.raises(OSError) as folder:
            read()
        assert isinstance(folder.value, FileError)


def test_ca_file_that_is_too_large_is_refused(tmp_path: Path, dps_emulator: Emulator) -> None:
    # The authority of the service is at the end: a truncated file would trust another.
    file = tmp_path / "ca.pem"
    file.write_text("# a line of text\n" * 80_000 + dps_emulator.ca_pem)
    with pytest.raises(FileError, match="more than 1048576 bytes"):
        ProvisioningClient(**GOOD, ca_file=file)
    file.write_text("# a line of text\n" * 1000 + dps_emulator.ca_pem)
    ProvisioningClient(**GOOD, ca_file=file)


READS_CA_FILE = """
import sys
from dps_client import ProvisioningClient, SymmetricKey

key = SymmetricKey("A" * 43)
try:
    ProvisioningClient(id_scope="0ne00A1B2C3", registration_id="a", attestation=key, ca_file=sys.argv[1])
except OSError as refused:
    print(type(refused).__name__, refused)
"""


def test_ca_file_that_is_not_a_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, kind in ((fifo, "a FIFO"), (Path("/dev/zero"), "a device")):
        # In a separate process, which can be killed if it waits.
        command = [sys.executable, "-c", READS_CA_FILE, str(path)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.stdout == f"FileError {path} cannot be read: it is {kind}, not a regular file\n", ran.stderr


def test_missing_answer_is_a_timeout_error(dps_enrollment: Enrollment) -> None:
    dps_enrollment.inject("silent", times=1000)
    with pytest.raises(TimeoutError) as late:
        ProvisioningClient(**dps_enrollment.client_kwargs(), timeout=1, request_timeout=0.2).register()
    assert isinstance(late.value, LinkError)


def test_annotations_can_be_evaluated() -> None:
    for module in (dps_client, dps_client.errors, dps_client.emulator):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                typing.get_type_hints(thing)
                for member in vars(thing).values():
                    if inspect.isfunction(member):
                        typing.get_type_hints(member)
            elif inspect.isfunction(thing):
                typing.get_type_hints(thing)


def test_configuration_errors_are_value_errors() -> None:
    assert issubclass(ConfigurationError, ValueError)
