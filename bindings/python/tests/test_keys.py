"""Keys and tokens: the shared vectors, and invalid keys and ids."""

import base64
import concurrent.futures
import copy
import functools
import hashlib
import hmac
import multiprocessing
import pickle
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import vectors
from dps_client import (
    ConfigurationError,
    GroupKey,
    LocalError,
    Secret,
    SymmetricKey,
    derive_device_key,
    derive_device_keys,
    sas_token,
)

KEYS = vectors.read("keys.json")
TOKENS = vectors.read("tokens.json")
REFUSED = vectors.read("refused.json")
DEVICE_KEY = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="


def names(cases: list[dict[str, Any]]) -> dict[str, Any]:
    return {"argvalues": cases, "ids": [case["name"] for case in cases]}


def by_hand(key: str, message: bytes) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(key), message, hashlib.sha256)).decode()


@pytest.mark.parametrize("case", **names([case for case in KEYS["positive"] if case["layer"] == "key"]))
def test_derived_keys_match_the_vectors(case: dict[str, Any]) -> None:
    group, device, expected = case["groupKey"], case["registrationId"], case["deviceKey"]
    assert derive_device_key(group, device) == expected
    assert derive_device_key(GroupKey(Secret(group)), device) == expected
    assert list(derive_device_keys(group, [device])) == [expected]
    assert GroupKey(group).derive(device).to_base64().expose() == expected


@pytest.mark.parametrize("case", **names([case for case in KEYS["positive"] if case["layer"] == "hmac"]))
def test_input_that_only_hmac_accepts_is_refused(case: dict[str, Any]) -> None:
    assert by_hand(case["groupKey"], case["registrationId"].encode()) == case["deviceKey"]
    with pytest.raises(ConfigurationError):
        derive_device_key(case["groupKey"], case["registrationId"])


@pytest.mark.parametrize("case", **names(KEYS["negative"]))
def test_known_mistakes_result_in_another_key(case: dict[str, Any]) -> None:
    group = case["groupKey"]
    key = base64.b64encode(group.encode()).decode() if case.get("keyAsText") else group
    assert by_hand(key, case["message"].encode()) == case["mustNotBe"]
    assert derive_device_key(group, case["registrationId"]) != case["mustNotBe"]
    if case["message"] != case["registrationId"]:
        with pytest.raises(ConfigurationError):
            derive_device_key(group, case["message"])


@pytest.mark.parametrize("case", **names([case for case in TOKENS["signatures"] if case["layer"] == "token"]))
def test_tokens_match_the_vectors(case: dict[str, Any]) -> None:
    resource = case["resource"]
    named = {
        "idScope": "id_scope",
        "registrationId": "registration_id",
        "hub": "hub",
        "deviceId": "device_id",
        "service": "service",
        "host": "service",
        "policy": "policy",
    }
    arguments = {named[name]: value for name, value in resource.items()}
    assert sas_token(case["key"], expires_at=case["se"], **arguments) == case["token"]
    when = datetime.fromtimestamp(case["se"], timezone.utc)
    assert sas_token(case["key"], expires_at=when, **arguments) == case["token"]


@pytest.mark.parametrize("case", **names([case for case in TOKENS["signatures"] if case["layer"] != "hmac"]))
def test_signatures_match_the_vectors(case: dict[str, Any]) -> None:
    to_sign = f"{case['sr']}\n{case['se']}".encode()
    assert base64.b64encode(SymmetricKey(case["key"]).sign(to_sign)).decode() == case["signature"]


@pytest.mark.parametrize("case", **names(TOKENS["hmac"]))
def test_hmacs_match_the_vectors(case: dict[str, Any]) -> None:
    message, expected = case["message"].encode(), case["signature"]
    assert by_hand(case["key"], message) == expected
    if len(base64.b64decode(case["key"])) >= 16:
        assert base64.b64encode(SymmetricKey(case["key"]).sign(message)).decode() == expected


@pytest.mark.parametrize("case", **names(TOKENS["format"]))
def test_token_has_the_fields_of_other_clients_in_their_order(case: dict[str, Any]) -> None:
    id_scope, _, registration_id = case["sr"].split("%2f")
    token = sas_token(DEVICE_KEY, id_scope=id_scope, registration_id=registration_id, expires_at=case["se"])
    to_sign = case["stringToSign"].replace("%2f", "%2F")
    signature = quote(by_hand(DEVICE_KEY, to_sign.encode()), safe="")
    theirs = quote(case["signature"], safe="")
    assert token == case["token"].replace("%2f", "%2F").replace(theirs, signature) + "&skn=registration"


@pytest.mark.parametrize("case", **names(REFUSED["keys"]))
def test_invalid_key_is_refused_without_being_printed(case: dict[str, Any]) -> None:
    for make in (SymmetricKey, GroupKey, lambda text: derive_device_key(text, "a")):
        with pytest.raises(ConfigurationError) as refused:
            make(case["text"])
        assert isinstance(refused.value, ValueError)
        assert refused.value.name == "invalid-key"
        assert case["text"] == "" or case["text"] not in str(refused.value)


@pytest.mark.parametrize("case", **names(REFUSED["registrationIds"]))
def test_invalid_registration_id_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        derive_device_key(DEVICE_KEY, case["text"])
    assert refused.value.name == "invalid-registration-id"


def test_key_of_wrong_type_raises_type_error_without_its_value() -> None:
    with pytest.raises(TypeError, match="not bytes"):
        SymmetricKey(b"c2VjcmV0")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not int"):
        derive_device_key(42, "a")  # type: ignore[arg-type]


def test_key_can_be_read_from_bytes_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "device.key"
    file.write_text(DEVICE_KEY + "\n")
    assert SymmetricKey.from_file(file).to_base64().expose() == DEVICE_KEY
    assert SymmetricKey.from_bytes(base64.b64decode(DEVICE_KEY)).to_base64().expose() == DEVICE_KEY
    assert repr(GroupKey.from_file(str(file))) == "GroupKey(32 bytes)"
    with pytest.raises(LocalError, match=r"gone\.key") as missing:
        SymmetricKey.from_file(tmp_path / "gone.key")
    assert missing.value.name == "file"


def test_secret_is_masked_in_every_representation() -> None:
    secret = Secret(DEVICE_KEY)
    assert secret.expose() == DEVICE_KEY
    for shown in (repr(secret), str(secret), f"{secret}", repr([secret]), repr(vars_of(secret))):
        assert DEVICE_KEY not in shown
    for travel in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"expose\(\)"):
            travel(secret)


def vars_of(secret: Secret) -> dict[str, object]:
    return {name: getattr(secret, name) for name in dir(secret) if not name.startswith("__")}


def test_pickling_a_key_raises_with_the_reason() -> None:
    group = GroupKey(DEVICE_KEY)
    for kept in (SymmetricKey(DEVICE_KEY), group, derive_device_keys(group, ["a"])):
        for travel in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=r"cannot be pickled or copied; .* process"):
                travel(kept)
    with (
        concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        pytest.raises(TypeError, match=r"GroupKey .* cannot be pickled"),
    ):
        pool.submit(functools.partial(derive_device_key, group), "a").result(timeout=60)


def test_token_requires_exactly_one_resource() -> None:
    with pytest.raises(TypeError, match="id_scope and registration_id, or hub and device_id"):
        sas_token(DEVICE_KEY, hub="hub-a.test", registration_id="a")
    with pytest.raises(TypeError, match="offset-naive"):
        sas_token(DEVICE_KEY, hub="hub-a.test", device_id="a", expires_at=datetime(2026, 1, 1))
    with pytest.raises(ConfigurationError):
        sas_token(DEVICE_KEY, id_scope="no scope", registration_id="a")
