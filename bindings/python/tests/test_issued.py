"""Issued certificates: requested at registration, stored, used at the hub, renewed there, expired, lost, recovered."""

import asyncio
import copy
import os
import pickle
import signal
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dps_client import (
    X509,
    Assignment,
    AsyncProvisioningClient,
    ConfigurationError,
    DpsError,
    HubCredentials,
    HubRenewal,
    IdentityStore,
    IssuedIdentity,
    LocalError,
    OperationalKey,
    ProvisioningClient,
    ServiceError,
)
from dps_client.emulator import Emulator, Transport
from dps_client.errors import FileError
from processes import LIMIT, gives_back, held, wait_until

TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]
HUB = "hub-a.test"
HOUR = 3600.0
POLICY = "factory/line-ca/devices"


class World:
    """A device and its service, whose clocks are moved together. Certificates are valid for 30 days."""

    def __init__(self, emulator: Emulator, directory: Path) -> None:
        self.emulator = emulator
        self.device = emulator.enroll("dev-01", certificate_policy=POLICY)
        self.directory = directory

    def client_kwargs(self, transport: Transport = "https", **options: Any) -> dict[str, Any]:
        return {**self.device.client_kwargs(transport), "clock": lambda: self.emulator.now, **options}

    def store(self) -> IdentityStore:
        return IdentityStore(self.directory, registration_id="dev-01")

    def accept(self, key: OperationalKey, chain: list[bytes]) -> IssuedIdentity:
        return IssuedIdentity.accept(key, chain, "dev-01", now=self.emulator.now)

    def provision(self, transport: Transport) -> tuple[IssuedIdentity, Assignment]:
        """Registers with the bootstrap credential and a request for a new key, and stores what was issued."""
        key = OperationalKey.generate()
        request = key.certificate_request("dev-01")
        assignment = ProvisioningClient(**self.client_kwargs(transport, certificate_request=request)).register()
        identity = self.accept(key, assignment.issued_chain)
        with self.store() as store:
            store.save(identity)
        return identity, assignment

    def credentials(self, x509: X509) -> HubCredentials:
        client = ProvisioningClient(**self.client_kwargs(attestation=x509))
        return client.hub_credentials(hub=HUB, device_id="dev-01")

    def renewal(self, credentials: HubCredentials, transport: Transport = "mqtt", **options: Any) -> HubRenewal:
        port = self.emulator.wss_port if transport == "mqtt-ws" else self.emulator.mqtt_port
        where: dict[str, Any] = {"port": port, "address": "127.0.0.1", "ca_pem": self.emulator.ca_pem, "proxy": False}
        return HubRenewal(credentials, **{"transport": transport, **where, **options})

    def renew(self, old: IssuedIdentity) -> IssuedIdentity:
        """Renews at the hub, with the identity that there is, and stores the new one."""
        key = OperationalKey.generate("ec-p384")
        chain = self.renewal(self.credentials(old.x509)).issue(key.certificate_request("dev-01"))
        identity = self.accept(key, chain)
        with self.store() as store:
            store.save(identity)
        return identity

    def sign_in(self, certificate: Path, key: Path) -> int:
        """Signs in to the hub with Python's own TLS, and returns the code of CONNACK."""
        context = ssl.create_default_context()
        # Its clock cannot be moved; the hub's certificate is checked by the client and the renewal.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(certificate, key)
        user_name = f"{HUB}/dev-01/?api-version=2021-04-12"
        fields = b"".join(len(text).to_bytes(2, "big") + text.encode() for text in ("dev-01", user_name))
        # CONNECT of MQTT 3.1.1: a clean session with a user name, without a password.
        body = b"\x00\x04MQTT\x04\x82\x00\x3c" + fields
        with (
            socket.create_connection(("127.0.0.1", self.emulator.mqtt_port), LIMIT) as tcp,
            context.wrap_socket(tcp, server_hostname=HUB) as tls,
        ):
            tls.sendall(b"\x10" + bytes([len(body)]) + body)
            reply = tls.recv(4)
        assert len(reply) == 4 and reply[:2] == b"\x20\x02", reply
        return reply[3]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Emulator(assign_at_once=True, certificate_days=30) as emulator:
        yield World(emulator, tmp_path)


def test_identity_is_used_renewed_at_the_hub_and_recovered_with_the_bootstrap_credential(
    world: World, tmp_path: Path
) -> None:
    first, _ = world.provision("https")
    assert first.state_at(world.emulator.now) == "valid" and first.registration_id == "dev-01"
    files = (tmp_path / "chain.pem", tmp_path / "key.pem")
    assert world.sign_in(*files) == 0
    old = tmp_path / "old.pem"
    old.write_bytes((tmp_path / "identity.pem").read_bytes())

    # 80 % of its life.
    world.emulator.advance_clock(timedelta(days=24))
    with world.store() as store:
        due = store.load().identity
    assert due is not None and due.chain == first.chain and due.renew_at == first.renew_at
    assert due.state_at(world.emulator.now) == "renewalDue"
    second = world.renew(due)
    assert second.state_at(world.emulator.now) == "valid"
    assert world.sign_in(*files) == 0
    assert world.sign_in(old, old) == 0, "the old one is valid until it expires"

    world.emulator.advance_clock(timedelta(days=7))
    assert first.state_at(world.emulator.now) == "expired" and not first.is_valid_at(world.emulator.now)
    assert world.sign_in(old, old) == 5
    assert world.sign_in(*files) == 0
    with pytest.raises(LocalError) as expired:
        ProvisioningClient(**world.client_kwargs(attestation=first.x509))
    assert expired.value.name == "client-certificate-expired"

    with world.store() as store:
        store.clear()
        assert store.load().identity is None
    third, assignment = world.provision("mqtt")
    assert assignment.hub == HUB
    assert world.sign_in(*files) == 0
    with world.store() as store:
        found = store.load().identity
    assert found is not None and found.chain == third.chain


def test_async_client_requests_and_renews(world: World) -> None:
    async def life() -> None:
        key = OperationalKey.generate()
        kwargs = world.client_kwargs(certificate_request=key.certificate_request("dev-01"))
        assignment = await AsyncProvisioningClient(**kwargs).register()
        first = world.accept(key, assignment.issued_chain)
        client = AsyncProvisioningClient(**world.client_kwargs(attestation=first.x509))
        renewal = world.renewal(client.hub_credentials(hub=assignment.hub, device_id=assignment.device_id))
        key = OperationalKey.generate()
        second = world.accept(key, await renewal.issue_async(key.certificate_request("dev-01")))
        assert second.chain[0] != first.chain[0] and second.chain[1:] == first.chain[1:]

    asyncio.run(life())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_chain_is_issued_over_every_transport_and_only_for_a_request(world: World, transport: Transport) -> None:
    identity, _ = world.provision(transport)
    assert len(identity.chain) == 3
    assert ProvisioningClient(**world.client_kwargs(transport)).register().issued_chain == []
    request = OperationalKey.generate().certificate_request("dev-01")
    old = world.client_kwargs(transport, certificate_request=request, api_version="2021-06-01")
    assert ProvisioningClient(**old).register().issued_chain == []


def test_request_without_a_policy_or_in_a_lookup_is_refused(world: World) -> None:
    request = OperationalKey.generate().certificate_request("dev-02")
    device = world.emulator.enroll("dev-02")
    client = ProvisioningClient(**device.client_kwargs(), certificate_request=request)
    with pytest.raises(ServiceError) as refused:
        client.register()
    assert (refused.value.name, refused.value.error_code) == ("bad-request", 400000)
    with pytest.raises(DpsError, match="certificate request") as misused:
        client.lookup()
    assert misused.value.family == "misuse"
    with pytest.raises(LocalError) as empty:
        ProvisioningClient(**device.client_kwargs(), certificate_request=b"")
    assert empty.value.name == "certificate-request"
    with pytest.raises(TypeError, match="'certificate_request'"):
        ProvisioningClient(**device.client_kwargs(), certificate_request="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("transport", ["mqtt", "mqtt-ws"])
def test_renewal_signs_in_with_any_credential_and_reports_refusals(world: World, transport: Transport) -> None:
    credentials = ProvisioningClient(**world.client_kwargs()).register().hub_credentials()
    key = OperationalKey.generate()
    renewal = world.renewal(credentials, transport)
    assert repr(renewal) == "HubRenewal(hub='hub-a.test')"
    assert len(renewal.issue(key.certificate_request("dev-01"))) == 3
    with pytest.raises(ServiceError) as refused:
        renewal.issue(key.certificate_request("dev-02"))
    assert (refused.value.name, refused.value.http_status, refused.value.error_code) == ("bad-request", 400, 400040)
    with pytest.raises(LocalError) as long:
        renewal.issue(bytes(7000))
    assert long.value.name == "request-too-large"


async def cancel_after_fault(world: World, renewal: HubRenewal, request: bytes) -> None:
    """Cancels a renewal once its request has met a fault."""
    task = asyncio.ensure_future(renewal.issue_async(request))
    assert await asyncio.to_thread(wait_until, lambda: any(event.kind == "fault" for event in world.device.events))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, LIMIT)


def test_active_request_is_replaced_unless_it_is_kept(world: World) -> None:
    credentials = ProvisioningClient(**world.client_kwargs()).register().hub_credentials()
    request = OperationalKey.generate().certificate_request("dev-01")
    world.device.inject("delay", at="issue", ms=3_600_000)
    asyncio.run(cancel_after_fault(world, world.renewal(credentials), request))
    with pytest.raises(ServiceError) as active:
        world.renewal(credentials, replace_active=False).issue(request)
    assert (active.value.name, active.value.http_status) == ("conflict", 409)
    assert len(world.renewal(credentials).issue(request)) == 3


def test_foreign_certificate_is_refused_and_the_old_identity_kept(world: World) -> None:
    old, _ = world.provision("https")
    world.device.inject("foreign-certificate", at="issue")
    with pytest.raises(ConfigurationError) as foreign:
        world.renew(old)
    assert foreign.value.name == "client-key-mismatch"
    with world.store() as store:
        kept = store.load().identity
    assert kept is not None and kept.chain == old.chain


def silent_renewal(world: World) -> HubRenewal:
    credentials = ProvisioningClient(**world.client_kwargs()).register().hub_credentials()
    world.device.inject("silent", at="issue", times=100)
    return world.renewal(credentials, timeout=2 * HOUR, request_timeout=HOUR)


def test_ctrl_c_ends_a_renewal_immediately(world: World) -> None:
    renewal = silent_renewal(world)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    start = held()

    def press() -> None:
        world.device.wait_for(kind="fault", timeout=LIMIT)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            renewal.issue(OperationalKey.generate().certificate_request("dev-01"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < LIMIT
    thread.join()
    assert gives_back(start), (start, held())


def test_canceled_task_ends_a_renewal_immediately(world: World) -> None:
    request = OperationalKey.generate().certificate_request("dev-01")
    asyncio.run(cancel_after_fault(world, silent_renewal(world), request))


def test_chain_for_another_key_id_or_time_is_refused(world: World) -> None:
    identity, _ = world.provision("https")
    cases: list[tuple[OperationalKey, str, datetime | float | None, str]] = [
        (OperationalKey.generate(), "dev-01", world.emulator.now, "client-key-mismatch"),
        (identity.key, "dev-02", world.emulator.now, "common-name-mismatch"),
        (identity.key, "dev-01", world.emulator.now + timedelta(days=31), "client-certificate-expired"),
    ]
    for key, registration_id, now, name in cases:
        with pytest.raises(DpsError) as refused:
            IssuedIdentity.accept(key, identity.chain, registration_id, now=now)
        assert refused.value.name == name
    with pytest.raises(ConfigurationError) as damaged:
        IssuedIdentity.accept(identity.key, [b"0"], "dev-01", now=None)
    assert damaged.value.name == "invalid-client-certificate"
    unchecked = IssuedIdentity.accept(identity.key, identity.chain, "DEV-01", now=None)
    assert unchecked.not_before < unchecked.renew_at < unchecked.not_after
    assert unchecked.state_at(unchecked.not_before - timedelta(seconds=1)) == "notYetValid"
    assert unchecked.state_at(unchecked.renew_at.timestamp() + 1) == "renewalDue"
    for wrong in ("tomorrow", datetime(2030, 1, 1), True):
        with pytest.raises(TypeError, match="'now'"):
            unchecked.state_at(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'now'"):
        unchecked.is_valid_at(float("nan"))
    with pytest.raises(TypeError, match="'chain'"):
        IssuedIdentity.accept(identity.key, identity.chain[0], "dev-01", now=None)  # type: ignore[arg-type]


def test_directory_is_locked_and_repaired_and_damage_is_set_aside(world: World, tmp_path: Path) -> None:
    identity, _ = world.provision("https")
    with world.store() as store:
        assert store.directory == tmp_path and repr(store) == f"IdentityStore('{tmp_path}')"
        with pytest.raises(FileError):
            IdentityStore(tmp_path)
    for name, mode in (("identity.pem", 0o600), ("key.pem", 0o600), ("chain.pem", 0o644)):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode
    with pytest.raises(RuntimeError, match="closed"):
        store.load()
    (tmp_path / "key.pem").unlink()
    with world.store() as store:
        store.load()
    assert OperationalKey.from_file(tmp_path / "key.pem").certificate_request("dev-01")
    assert OperationalKey.from_pem((tmp_path / "key.pem").read_text())
    with IdentityStore(tmp_path, registration_id="dev-02") as other:
        for call in (other.load, lambda: other.save(identity)):
            with pytest.raises(ConfigurationError) as foreign:
                call()
            assert foreign.value.name == "common-name-mismatch"
    (tmp_path / "identity.pem").write_text("nothing")
    with world.store() as store:
        loaded = store.load()
        assert loaded.identity is None and loaded.set_aside == tmp_path / "identity.pem.corrupt"
        assert loaded.problem is not None and loaded.problem in repr(loaded)
        assert store.load().set_aside is None
    with pytest.raises(FileError):
        IdentityStore(tmp_path / "missing")


def test_keys_of_every_kind_and_nothing_that_shows_or_copies_one(world: World, tmp_path: Path) -> None:
    for algorithm in ("ec-p256", "ec-p384", "rsa-2048"):
        assert OperationalKey.generate(algorithm).certificate_request("dev-01")[:1] == b"0"
    with pytest.raises(ValueError, match="'algorithm'"):
        OperationalKey.generate("ec-p521")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError) as no_key:
        OperationalKey.from_pem("nothing")
    assert no_key.value.name == "invalid-client-key"
    with pytest.raises(ValueError, match="'registration_id'"):
        OperationalKey.generate().certificate_request("no id")
    identity, _ = world.provision("https")
    until = identity.not_after.isoformat()
    assert repr(identity) == f"IssuedIdentity(registration_id='dev-01', not_after='{until}')"
    assert repr(identity.key) == "OperationalKey(..)"
    for secret in (identity, identity.key):
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="pickled"):
                copied(secret)


def test_credentials_of_a_hub_follow_its_connection_profile(world: World) -> None:
    client = ProvisioningClient(**world.client_kwargs(connection_profile=True))
    assignment = client.register()
    where: dict[str, Any] = {"hub": assignment.hub, "device_id": assignment.device_id}
    stored = client.hub_credentials(**where, connection_profile=assignment.connection_profile)
    assert (stored.hub, stored.user_name) == (HUB, assignment.hub_credentials().user_name)
    assert stored.password().expires_at > world.emulator.now
    with pytest.raises(ConfigurationError, match="mqttV5") as modern:
        client.hub_credentials(**where, connection_profile="mqttV5")
    assert modern.value.name == "unsupported-profile"
    with pytest.raises(ValueError, match="'connection_profile'"):
        client.hub_credentials(**where, connection_profile="no word")


def test_options_of_a_renewal_are_checked(world: World) -> None:
    credentials = world.credentials(world.provision("https")[0].x509)
    refused: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"transport": "https"}, ValueError),
        ({"port": 0}, ValueError),
        ({"address": "localhost"}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"request_timeout": "x"}, TypeError),
        ({"replace_active": 1}, TypeError),
        ({"ca_pem": "nothing"}, ConfigurationError),
    ]
    for options, error in refused:
        with pytest.raises(error, match=next(iter(options))):
            HubRenewal(credentials, **options)
    with pytest.raises(TypeError, match="'credentials'"):
        HubRenewal("hub-a.test")  # type: ignore[arg-type]
