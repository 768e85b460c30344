"""The emulator in tests: enrollments, faults of one device, and records of what devices did."""

import asyncio
import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dps_client import ProvisioningClient, ServiceError, SymmetricKey
from dps_client.emulator import (
    DeviceCertificate,
    Emulator,
    Enrollment,
    HubDevice,
    PlannedFault,
    Record,
    Refusal,
    UnmetFaultWarning,
    _folder,
    _ports,
)
from processes import LIMIT

KEY = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
# The TPM2B_PUBLIC of an RSA key that has the attributes of endorsement keys.
ENDORSEMENT_KEY = base64.b64encode(
    bytes.fromhex("011a 0001 000b 000300b2 0000 0006 0080 0043 0010 0800 00000000 0100") + bytes([255] * 256)
).decode()


def test_disabled_enrollment_refuses_its_device(dps_enrollment: Enrollment) -> None:
    client = ProvisioningClient(**dps_enrollment.client_kwargs())
    dps_enrollment.disable()
    with pytest.raises(ServiceError) as disabled:
        client.register()
    assert (disabled.value.name, disabled.value.verdict) == ("enrollment-disabled", "never")
    dps_enrollment.enable()
    assert client.register().hub == "hub-a.test"


def test_disabled_group_refuses_its_devices(dps_emulator: Emulator) -> None:
    group = dps_emulator.enroll_group("line-9", enabled=False)
    client = ProvisioningClient(**group.device("dev-01").client_kwargs())
    with pytest.raises(ServiceError) as disabled:
        client.register()
    assert disabled.value.name == "enrollment-disabled"
    group.enable()
    assert client.register().hub == "hub-a.test"
    assert group.remove() and not group.remove()
    with pytest.raises(ServiceError, match="401"):
        client.register()


def test_faults_of_one_device_do_not_affect_others(dps_emulator: Emulator, dps_enrollment: Enrollment) -> None:
    other = dps_emulator.enroll("another")
    dps_enrollment.inject("throttle", retry_after={"dateOffset": 7200}, times=2)
    assert dps_emulator.planned_faults == [
        PlannedFault(
            kind="throttle",
            at="any",
            registration_id=dps_enrollment.registration_id,
            times=2,
            left=2,
            details={"retryAfter": {"dateOffset": 7200}},
        )
    ]
    assert ProvisioningClient(**other.client_kwargs()).register().hub == "hub-a.test"
    with pytest.raises(ServiceError) as throttled:
        ProvisioningClient(**dps_enrollment.client_kwargs()).register()
    assert throttled.value.retry_after is not None and throttled.value.retry_after > timedelta(hours=1.9)
    assert dps_emulator.planned_faults[0].left == 1
    assert (dps_enrollment.clear_faults(), dps_emulator.clear_faults()) == (1, 0)


def test_counters_and_records_show_what_a_device_did(dps_emulator: Emulator) -> None:
    device = dps_emulator.enroll("press-1", device_id="Press-One", iot_edge=True, tags={"site": "a"}, desired={"n": 1})
    assert (device.record, device.hub_device) == (None, None)
    ProvisioningClient(**device.client_kwargs("mqtt")).register()
    assert device.record == Record(
        registration_id="press-1",
        status="assigned",
        substatus="initialAssignment",
        assigned_hub="hub-a.test",
        device_id="Press-One",
        enrollment_group_id=None,
    )
    assert device.hub_device == HubDevice(
        hub="hub-a.test", device_id="Press-One", iot_edge=True, tags={"site": "a"}, desired={"n": 1}
    )
    counters = device.counters
    assert (counters.connects, counters.registers, counters.polls, counters.rejected) == (1, 1, 1, 0)
    assert device.forget() and not device.forget()
    assert device.record is None


def test_events_show_what_a_device_did(dps_enrollment: Enrollment) -> None:
    ProvisioningClient(**dps_enrollment.client_kwargs("mqtt")).register()
    calls = [event.call for event in dps_enrollment.events if event.kind == "exchange"]
    assert calls[:3] == ["connect", "subscribe", "register"]
    poll = dps_enrollment.wait_for(call="poll", status=200)
    assert poll.members["earlyByMs"] == 0
    assert poll.members["token"]["signedBy"] == "primary-key"
    assert "assigned to hub-a.test" in str(poll)


def test_wait_for_returns_the_event_or_shows_what_happened_instead(
    dps_emulator: Emulator, dps_enrollment: Enrollment
) -> None:
    arguments = dps_enrollment.client_kwargs()
    arguments["attestation"] = SymmetricKey("d3Jvbmctd3Jvbmctd3Jvbmc=")
    before = dps_emulator.last_event
    with pytest.raises(ServiceError):
        ProvisioningClient(**arguments).register()
    refusal = dps_enrollment.wait_for(kind="refusal", after=before)
    assert (refusal.reason, refusal.status) == ("bad-signature", 401)
    assert refusal.members["token"]["signedBy"] == "nobody"
    with pytest.raises(TimeoutError, match=r"within 0\.05 s; the latest events are:\n.*bad-signature"):
        dps_enrollment.wait_for(status=200, timeout=0.05)
    with pytest.raises(TypeError, match="unknown condition kinds"):
        dps_enrollment.wait_for(kinds="refusal")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="'timeout'"):
        dps_enrollment.wait_for(timeout=-1)
    with pytest.raises(ValueError, match=r"'kind': must be one of connection, .*, not 'refused'"):
        dps_enrollment.wait_for(kind="refused")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"'reason': no event has 'bad signature'; docs/events\.md"):
        dps_enrollment.wait_for(reason="bad signature")


def test_wait_for_ends_with_an_event_of_another_thread_and_when_the_emulator_stops() -> None:
    emulator = Emulator(assign_at_once=True)
    emulator.start()
    device = emulator.enroll("dev-01")
    with ThreadPoolExecutor(2) as threads:
        assigned = threads.submit(device.wait_for, call="register", status=200, timeout=LIMIT)
        never = threads.submit(emulator.wait_for, reason="expired", timeout=3600)
        ProvisioningClient(**device.client_kwargs()).register()
        assert assigned.result(LIMIT).registration_id == "dev-01"
        assert not never.done()
        emulator.stop()
        with pytest.raises(RuntimeError, match="was stopped"):
            never.result(LIMIT)


def test_refusals_show_why_a_credential_was_refused(dps_enrollment: Enrollment) -> None:
    kwargs = dps_enrollment.client_kwargs()
    kwargs["attestation"] = SymmetricKey(KEY)
    with pytest.raises(ServiceError):
        ProvisioningClient(**kwargs).register()
    assert dps_enrollment.refusals == [Refusal(registration_id=dps_enrollment.registration_id, reason="bad-signature")]


def test_both_keys_are_accepted(dps_emulator: Emulator) -> None:
    device = dps_emulator.enroll("two-keys", key=KEY)
    assert device.key.expose() == KEY
    kwargs = device.client_kwargs()
    kwargs["attestation"] = SymmetricKey(device.secondary_key)
    assert ProvisioningClient(**kwargs).register().hub == "hub-a.test"


def test_device_with_a_tpm_is_given_a_challenge(dps_emulator: Emulator) -> None:
    device = dps_emulator.enroll("dev-tpm", endorsement_key=ENDORSEMENT_KEY)
    trust = ssl.create_default_context(cafile=dps_emulator.ca_file)
    connection = http.client.HTTPSConnection(dps_emulator.host, dps_emulator.https_port, context=trust, timeout=30)
    body = {"tpm": {"endorsementKey": ENDORSEMENT_KEY, "storageRootKey": ENDORSEMENT_KEY}}
    path = f"/{dps_emulator.id_scope}/registrations/dev-tpm/register?api-version=2021-06-01"
    with contextlib.closing(connection):
        connection.request("PUT", path, json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        assert (reply.status, json.load(reply)["keyName"]) == (401, "registration")
    assert device.refusals == []
    for credential in ("key", "secondary_key"):
        with pytest.raises(RuntimeError, match="has a TPM instead of a key"):
            getattr(device, credential)
    with pytest.raises(RuntimeError, match="pass the attestation of this TPM"):
        device.client_kwargs()


def test_enrollment_with_an_invalid_endorsement_key_is_refused(dps_emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="'endorsement_key' is invalid: it is not a TPM2B_PUBLIC"):
        dps_emulator.enroll("dev-tpm", endorsement_key="AAAA")
    with pytest.raises(TypeError, match="'endorsement_key': must be a str"):
        dps_emulator.enroll("dev-tpm", endorsement_key=b"AAAA")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'key': an enrollment has either keys or a TPM"):
        dps_emulator.enroll("dev-tpm", endorsement_key=ENDORSEMENT_KEY, key=KEY)
    certificate = DeviceCertificate.self_signed("dev-tpm")
    with pytest.raises(ValueError, match="either a certificate or a TPM"):
        dps_emulator.enroll("dev-tpm", endorsement_key=ENDORSEMENT_KEY, certificate=certificate)


def test_hubs_are_linked_chosen_and_unlinked() -> None:
    with Emulator(hubs={"hub-a.test": 1, "hub-b.test": 3}, assign_at_once=True) as emulator:
        device = emulator.enroll("dev-01", hubs=["hub-b.test"])
        assert ProvisioningClient(**device.client_kwargs()).register().hub == "hub-b.test"
        emulator.link_hub("hub-c.test", 1000)
        moved = emulator.enroll("dev-02", hubs=["hub-c.test"])
        assert ProvisioningClient(**moved.client_kwargs()).register().hub == "hub-c.test"
        assert emulator.unlink_hub("hub-c.test") and not emulator.unlink_hub("hub-c.test")
        with pytest.raises(ValueError, match="weight"):
            emulator.link_hub("hub-d.test", 0)


def test_emulator_throttles_like_the_service_by_default() -> None:
    def registers(emulator: Emulator, times: int) -> None:
        client = ProvisioningClient(**emulator.enroll("dev-01").client_kwargs(), timeout=5)
        for _ in range(times):
            client.lookup() if emulator.counters.registers else client.register()

    with Emulator(rate_limits=False, assign_at_once=True) as emulator:
        registers(emulator, 20)
        assert emulator.counters.throttled == 0
        assert emulator.counters.lookups == 19
        emulator.reset_counters()
        assert emulator.counters.lookups == 0


def test_state_directory_keeps_enrollments_and_authority(tmp_path: Path) -> None:
    with Emulator(state_dir=tmp_path, assign_at_once=True) as first:
        device = first.enroll("kept")
        key, ca_pem, owner = device.key.expose(), first.ca_pem, first.connection_string.expose()
    with Emulator(state_dir=tmp_path, assign_at_once=True) as second:
        assert second.ca_pem == ca_pem
        assert second.connection_string.expose().split(";")[1:] == owner.split(";")[1:]
        client = ProvisioningClient(**second.client_kwargs(), registration_id="kept", attestation=SymmetricKey(key))
        assert client.register().hub == "hub-a.test"
        with pytest.raises(OSError, match="in use"):
            Emulator(state_dir=tmp_path).start()


def test_emulator_has_its_host_ports_and_certificates(dps_emulator: Emulator) -> None:
    assert dps_emulator.host == "localhost"
    assert Path(dps_emulator.ca_file).read_text() == dps_emulator.ca_pem
    assert dps_emulator.id_scope == "0ne00A1B2C3"
    for port in (dps_emulator.https_port, dps_emulator.mqtt_port, dps_emulator.wss_port):
        socket.create_connection(("127.0.0.1", port)).close()
    assert "SharedAccessKey" not in repr(dps_emulator) and "Secret" in repr(dps_emulator.connection_string)
    kwargs = dps_emulator.client_kwargs("mqtt-ws")
    assert kwargs["endpoint"] == f"localhost:{dps_emulator.wss_port}"


def test_wrong_use_of_emulator_raises() -> None:
    emulator = Emulator()
    with pytest.raises(RuntimeError, match="not started"):
        emulator.enroll("dev-01")
    with emulator:
        with pytest.raises(RuntimeError, match="started already"):
            emulator.start()
        with pytest.raises(ValueError, match="registration"):
            emulator.enroll("no id")
        with pytest.raises(ValueError, match=r"base64|bytes"):
            emulator.enroll("dev-01", key="short")
        with pytest.raises(TypeError, match="colour"):
            emulator.enroll("dev-01", colour="red")  # type: ignore[call-arg]
        with pytest.raises(RuntimeError, match="fixed_ports=True"):
            emulator.azure_client_kwargs()
    emulator.stop()
    with pytest.raises(RuntimeError, match="not started"):
        _ = emulator.host
    with pytest.raises(TypeError, match="colour"):
        Emulator(colour="red")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="invalid id scope"):
        Emulator(id_scope="no scope").start()
    with emulator:
        assert emulator.host == "localhost"


def test_emulator_can_be_started_inside_a_loop() -> None:
    async def main() -> str:
        with Emulator(assign_at_once=True) as emulator:
            client = ProvisioningClient(**emulator.enroll("dev-01").client_kwargs())
            return (await asyncio.to_thread(client.register)).hub

    assert asyncio.run(main()) == "hub-a.test"


def test_only_one_process_can_lock_an_address() -> None:
    with _ports.locked("192.0.2.1") as first, _ports.locked("192.0.2.1") as second:
        assert (first, second) == (True, False)
    with _ports.locked("192.0.2.1") as again:
        assert again


def test_str_instead_of_list_of_hubs_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'hubs'.*not a str"):
        Emulator(hubs="hub-a.test")
    with Emulator() as emulator:
        for enroll in (emulator.enroll, emulator.enroll_group):
            with pytest.raises(TypeError, match=r"'hubs'.*not a str"):
                enroll("dev-01", hubs="hub-a.test")


def test_enrollment_with_invalid_settings_is_refused() -> None:
    with Emulator(hubs=["hub-a.test", "hub-b.test"]) as emulator:
        for enroll in (emulator.enroll, emulator.enroll_group):
            with pytest.raises(ValueError, match=r"'hubs': 'hub-c.test' is not linked.*hub-a.test, hub-b.test"):
                enroll("dev-01", hubs=["hub-a.test", "hub-c.test"])
            with pytest.raises(ValueError, match="unknown member 'colour'"):
                enroll("dev-01", more={"colour": "red"})
            with pytest.raises(ValueError, match="unknown member 'updateHub'"):
                enroll("dev-01", more={"reprovisionPolicy": {"updateHub": True}})
            enroll("dev-01", hubs=["HUB-B.test"], more={"reprovisionPolicy": {"updateHubAssignment": True}})


def test_enrollment_names_a_certificate_policy_and_options_of_issuance_are_checked() -> None:
    with Emulator(
        hubs=["hub-a.test", "hub-5.test"],
        hub_profiles={"hub-5.test": "mqttV5"},
        certificate_days=7,
        p384_only=True,
        issuance_codes="early",
    ) as emulator:
        emulator.enroll("dev-01", certificate_policy="factory/line-ca/devices")
        for policy in ("devices", "factory//devices", "a/b/c/d"):
            with pytest.raises(ValueError, match=r"'certificate_policy': must have the form"):
                emulator.enroll_group("line-1", certificate_policy=policy)
    refused: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"certificate_days": 6}, ValueError),
        ({"p384_only": 1}, TypeError),
        ({"issuance_codes": "old"}, ValueError),
        ({"hub_profiles": {"hub-a.test": "mqtt5"}}, ValueError),
        ({"hub_profiles": {"hub-9.test": "mqttV5"}}, ValueError),
    ]
    for wrong, error in refused:
        with pytest.raises(error), Emulator(**wrong):
            pass


def test_errors_name_arguments_instead_of_json_members() -> None:
    with Emulator() as emulator:
        device = emulator.enroll("dev-01")
        for call, argument in (
            (lambda: emulator.enroll("no id"), "registration_id"),
            (lambda: emulator.enroll_group("no id"), "group_id"),
            (lambda: emulator.enroll("dev-02", device_id="no id"), "device_id"),
            (lambda: device.inject("throttle", retry_after=-1), "retry_after"),
            (lambda: device.inject("oversize-reply", size=0), "size"),
            (lambda: device.client_kwargs("amqp"), "transport"),  # type: ignore[arg-type]
            (lambda: emulator.link_hub("hub-d.test", -1), "weight"),
            (lambda: emulator.set_clock_offset(float("nan")), "offset"),
        ):
            with pytest.raises(ValueError, match=f"'{argument}'"):
                call()
        device.remove()
        with pytest.raises(RuntimeError, match="enrollment 'dev-01' does not exist"):
            device.enable()


def test_fault_for_a_device_that_does_not_exist_is_refused() -> None:
    with Emulator() as emulator:
        with pytest.raises(ValueError, match="no enrollment covers the device 'dev-01'"):
            emulator.inject("silent", registration_id="dev-01")
        device = emulator.enroll("dev-01")
        emulator.inject("silent", registration_id="DEV-01")
        device.clear_faults()
        device.remove()
        with pytest.raises(ValueError, match="no enrollment"):
            device.inject("silent")
        # A group covers any id.
        emulator.enroll_group("line-1").device("dev-02").inject("silent")
        assert emulator.clear_faults() == 1


def test_unmet_fault_is_warned_of() -> None:
    emulator = Emulator(assign_at_once=True)
    emulator.start()
    device = emulator.enroll("dev-01")
    device.inject("throttle", retry_after=0, times=2)
    device.inject("silent", at="poll")
    ProvisioningClient(**device.client_kwargs(), timeout=60).register()
    assert [fault.kind for fault in device.unmet_faults] == ["silent"]
    with pytest.warns(UnmetFaultWarning, match="silent") as warned:
        emulator.stop()
    assert len(warned) == 1


PLUGIN_SUITE = """
import pytest
from dps_client import ProvisioningClient

@pytest.fixture(scope="session")
def dps_emulator_options():
    # Without a hint: if the hint is 0, polls are not limited.
    return {"retry_after": None, "assigning": 0}

def test_many_polls(dps_enrollment):
    pace = {"poll_interval": 0.01, "minimum_spacing": 0.01}
    for _ in range(8):
        dps_enrollment.forget()
        ProvisioningClient(**dps_enrollment.client_kwargs(), **pace, timeout=60).register()
    assert dps_enrollment.counters.polls >= 8
    assert dps_enrollment.counters.throttled == 0

def test_never_met(dps_enrollment):
    dps_enrollment.inject("silent")

def test_taken_back(dps_enrollment):
    dps_enrollment.inject("silent")
    dps_enrollment.clear_faults()
"""


def test_options_of_a_suite_are_merged_and_unmet_faults_fail_its_tests(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(PLUGIN_SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rE", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False)
    assert "3 passed, 1 error" in ran.stdout, ran.stdout
    assert "ERROR test_suite.py::test_never_met" in ran.stdout
    assert "no request met the fault" in ran.stdout


KILLED = """
import os, signal, sys
from dps_client.emulator import Emulator
emulator = Emulator()
emulator.start()
print(os.path.dirname(emulator.ca_file), flush=True)
{ending}
"""


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("1 / 0", 1),
        ("child = os.fork()\nif child: os.waitpid(child, 0); assert os.path.exists(emulator.ca_file)", 0),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
    ids=["end", "exception", "fork", "kill"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_directory_of_emulator_is_removed_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, code: int
) -> None:
    def run(ending: str) -> tuple[int, Path]:
        command = [sys.executable, "-c", KILLED.format(ending=ending)]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
        return ran.returncode, Path(ran.stdout.split()[0])

    ended, folder = run(ending)
    assert ended == code
    if code >= 0:
        assert not folder.exists()
    # The directory of a killed process is removed when the next one starts; one in use stays.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with _folder.own_folder() as used:
        run("")
        assert os.listdir(tmp_path) == [os.path.basename(used)]
    assert os.listdir(tmp_path) == []
