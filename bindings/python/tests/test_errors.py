"""Exceptions are the shared catalogue: numbers, names, families; and they cross processes whole."""

import pickle
from datetime import timedelta
from typing import Any

import dps_client.errors
import pytest
import vectors
from dps_client import ConfigurationError, DpsError, Hint, ProvisioningClient, ServiceError, SymmetricKey, _native
from dps_client.emulator import Emulator, Enrollment

CATALOGUE = vectors.read("errors.json")


def test_the_catalogue_is_the_shared_one() -> None:
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
    assert type(made).__name__ == error["family"].capitalize() + "Error"
    assert isinstance(made, DpsError)
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


def test_what_the_service_says_is_in_the_exception(dps_enrollment: Enrollment) -> None:
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


def test_when_to_come_back_is_a_timedelta(dps_enrollment: Enrollment) -> None:
    dps_enrollment.inject("throttle", retry_after=3600)
    with pytest.raises(ServiceError) as throttled:
        ProvisioningClient(**dps_enrollment.client_kwargs(), timeout=10).register()
    assert (throttled.value.name, throttled.value.verdict) == ("throttled", "after")
    assert throttled.value.retry_after is not None
    assert throttled.value.retry_after >= timedelta(hours=1)


def test_a_wrong_clock_is_named(dps_enrollment: Enrollment, dps_emulator: Emulator) -> None:
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


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"id_scope": "no scope"}, "id scope"),
        ({"registration_id": ""}, "registration id"),
        ({"endpoint": "http://x"}, "endpoint"),
        ({"transport": "amqp"}, "transport"),
        ({"payload": [1]}, "not a JSON object"),
        ({"timeout": -1}, "-1"),
        ({"timeout": float("nan")}, "NaN"),
        ({"timeout": 0}, "timeout"),
        ({"ca_pem": "hello"}, "no PEM"),
        ({"ca_pem": "x", "ca_file": "y"}, "not both"),
        ({"proxy": "ftp://proxy.test"}, "http"),
        ({"resume": "nonsense"}, "operation"),
        ({"api_version": "latest"}, "2021-06-01"),
        ({"keep_alive": 30}, "only MQTT"),
        ({"pipelined": True}, "only MQTT"),
    ],
    ids=str,
)
def test_a_bad_value_is_a_value_error_before_anything_is_sent(option: dict[str, Any], text: str) -> None:
    good: dict[str, Any] = {"id_scope": "0ne00A1B2C3", "registration_id": "a", "attestation": SymmetricKey("A" * 43)}
    with pytest.raises(ValueError, match=text):
        ProvisioningClient(**{**good, **option})


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"id_scope": 5}, "int"),
        ({"attestation": "A" * 43}, "SymmetricKey"),
        ({"timeout": "soon"}, "seconds or as timedelta, not as str"),
        ({"proxy": True}, "False or None"),
        ({"on_progress": "print"}, "callable"),
        ({"payload": {"a": object()}}, "JSON"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_value_of_the_wrong_type_is_a_type_error(option: dict[str, Any], text: str) -> None:
    good: dict[str, Any] = {"id_scope": "0ne00A1B2C3", "registration_id": "a", "attestation": SymmetricKey("A" * 43)}
    with pytest.raises(TypeError, match=text):
        ProvisioningClient(**{**good, **option})


def test_a_missing_file_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.pem"):
        ProvisioningClient(
            id_scope="0ne00A1B2C3", registration_id="a", attestation=SymmetricKey("A" * 43), ca_file="gone.pem"
        )


def test_configuration_errors_are_value_errors() -> None:
    assert issubclass(ConfigurationError, ValueError)
