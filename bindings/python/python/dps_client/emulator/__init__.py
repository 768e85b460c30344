"""A local provisioning service in this process: it verifies, assigns, throttles, and fails on command.

>>> from dps_client import ProvisioningClient
>>> with Emulator(assign_at_once=True) as emulator:
...     device = emulator.enroll("dev-01")
...     assignment = ProvisioningClient(**device.client_kwargs()).register()
>>> assignment.hub
'hub-a.test'

It listens on loopback alone, speaks TLS under a certificate authority of its own, and remembers nothing once stopped.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, TypedDict

from dps_client import _native
from dps_client._native import Secret
from dps_client.emulator import _ports
from dps_client.emulator._devices import (
    AzureClientKwargs,
    AzureServiceKwargs,
    ClientKwargs,
    Device,
    Enrollment,
    EnrollmentGroup,
    FaultDetails,
    FaultKind,
    FaultPlace,
    RetryAfter,
    Service,
    ServiceKwargs,
    Transport,
    check_text,
    named_arguments,
)
from dps_client.emulator._findings import (
    Counters,
    HubDevice,
    PlannedFault,
    Record,
    Refusal,
    finding,
    findings,
    planned_faults,
    unmet,
)
from dps_client.emulator._folder import own_folder
from dps_client.emulator._ports import PortsUnavailable
from dps_client.emulator._typing import Unpack

__all__ = [
    "AzureClientKwargs",
    "AzureServiceKwargs",
    "ClientKwargs",
    "Counters",
    "Device",
    "Emulator",
    "EmulatorOptions",
    "Enrollment",
    "EnrollmentGroup",
    "EnrollmentSettings",
    "FaultDetails",
    "FaultKind",
    "FaultPlace",
    "HubDevice",
    "PlannedFault",
    "PortsUnavailable",
    "Record",
    "Refusal",
    "RetryAfter",
    "ServiceKwargs",
    "Transport",
    "UnmetFaultWarning",
]


class UnmetFaultWarning(UserWarning):
    """A fault was planned, and no request met it: whatever was to be tested with it was not."""


_FLAGS = {
    "assign_at_once",
    "check_expiry_on_poll",
    "derive_as_sent",
    "echo_payload",
    "enabled",
    "fixed_ports",
    "iot_edge",
    "rate_limits",
    "strict_at_connect",
}
# Ten years.
_OFFSET_MOST = 10 * 365 * 24 * 3600


class EmulatorOptions(TypedDict, total=False):
    """Options of an Emulator; everything has a default."""

    fixed_ports: bool
    """Listen on 443 and 8883, which published clients know, instead of on any ports that are free."""
    id_scope: str
    """The id scope; 0ne00A1B2C3 by default."""
    hubs: Sequence[str] | Mapping[str, int]
    """The linked hubs, or each with its weight from 1 to 1000; hub-a.test by default."""
    retry_after: RetryAfter | None
    """The hint while assigning; 1 second by default, None for no hint."""
    assigning: float | timedelta
    """How long an assignment takes, in seconds or as timedelta; half a second by default."""
    assign_at_once: bool
    """Answer the register call with the assignment, so that no poll is needed."""
    rate_limits: bool
    """Throttle as the service does, which is the default: 1000 registrations a minute, 5 polls a device in 10 s."""
    echo_payload: bool
    """Give a device its own payload back, as an allocation webhook might."""
    derive_as_sent: bool
    """Derive a group's device keys from the id exactly as it was sent, not from its lower-case form too."""
    strict_at_connect: bool
    """Refuse bad credentials at MQTT's CONNECT already, which the service does not."""
    check_expiry_on_poll: bool
    """Check a token's expiry on polls too, which some clients do not survive."""
    clock_offset: float | timedelta
    """How far the service's clock is ahead of this machine's, in seconds or as timedelta; negative for behind."""
    seed: int
    """A seed for keys and ids that are the same in every run; they can then be guessed."""
    state_dir: str | os.PathLike[str]
    """A folder that keeps enrollments, the certificate authority and the policy key over a restart."""


class EnrollmentSettings(TypedDict, total=False):
    """Settings of an enrollment; everything has a default."""

    key: Secret | str
    """The first key, as base64; made when absent."""
    secondary_key: Secret | str
    """The second key, as base64; made when absent."""
    enabled: bool
    """Whether devices are let in."""
    iot_edge: bool
    """Whether devices are IoT Edge devices."""
    hubs: Iterable[str]
    """The hubs to choose from; one is a static allocation. All that are linked by default."""
    tags: Mapping[str, Any]
    """The tags that a twin starts with."""
    desired: Mapping[str, Any]
    """The desired properties that a twin starts with."""
    more: Mapping[str, Any]
    """Further members in the service's own JSON, such as {"reprovisionPolicy": {...}}."""


class Emulator:
    """A local provisioning service, from `with` or start() on until the end of the block or stop().

    Takes EmulatorOptions as keyword arguments.
    """

    def __init__(self, **options: Unpack[EmulatorOptions]) -> None:
        """Keeps the options; nothing listens yet."""
        unknown = options.keys() - EmulatorOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"there is no option {', '.join(sorted(unknown))}")
        for name, value in options.items():
            _check_type(name, value)
        self._options = options
        self._service: Service | None = None
        self._closing = contextlib.ExitStack()

    def start(self) -> None:
        """Starts it; PortsUnavailable, which is an OSError, when the fixed ports cannot be had."""
        if self._service is not None:
            raise RuntimeError("this emulator was started already")
        with contextlib.ExitStack() as closing:
            service = self._start_fixed(closing) if self._options.get("fixed_ports") else self._start_anywhere(closing)
            folder = closing.enter_context(own_folder())
            self._ca_file = os.path.join(folder, "ca.pem")
            with open(self._ca_file, "w", encoding="ascii") as file:
                file.write(service.ca_pem)
            self._service = service
            self._closing = closing.pop_all()

    def stop(self) -> None:
        """Ends it and gives back its threads and descriptors, in two seconds at most. May be called twice.

        Warns (UnmetFaultWarning) of faults that were planned and that no request met.
        """
        faults = [] if self._service is None else unmet(self.planned_faults)
        self._close()
        for fault in faults:
            warnings.warn(f"no request met the fault {fault}", UnmetFaultWarning, stacklevel=2)

    def _close(self) -> None:
        self._service = None
        self._closing.close()

    def __enter__(self) -> Emulator:
        """Starts it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops it. Where the block failed, faults that it did not come to are no news."""
        if raised is None:
            self.stop()
        else:
            self._close()

    def _start_anywhere(self, closing: contextlib.ExitStack) -> Service:
        native = self._listen("127.0.0.1", 0, 0, 0)
        closing.callback(native.stop)
        return Service(native, "localhost", fixed_ports=False)

    def _start_fixed(self, closing: contextlib.ExitStack) -> Service:
        problem = "every loopback address is used by another emulator"
        for address in _ports.addresses():
            with contextlib.ExitStack() as trying:
                if not trying.enter_context(_ports.locked(address)):
                    continue
                try:
                    native = self._listen(address, _ports.HTTPS_PORT, _ports.MQTT_PORT, _ports.HTTPS_PORT)
                except OSError as error:
                    problem = error.strerror or str(error)
                    if error.errno == errno.EADDRINUSE:
                        continue
                    break
                trying.callback(native.stop)
                closing.enter_context(trying.pop_all())
                return Service(native, "localhost" if address == "127.0.0.1" else address, fixed_ports=True)
        raise PortsUnavailable(
            f"the ports 443 and 8883 cannot be had: {problem}."
            " Without privilege, once: sudo sysctl net.ipv4.ip_unprivileged_port_start=443"
        )

    def _listen(self, address: str, https_port: int, mqtt_port: int, wss_port: int) -> _native.Emulator:
        options = self._options
        hubs = options.get("hubs", ())
        retry_after = options.get("retry_after", 1)
        return _native.Emulator(
            listen=address,
            host_name=None if address == "127.0.0.1" else address,
            https_port=https_port,
            mqtt_port=mqtt_port,
            wss_port=wss_port,
            id_scope=options.get("id_scope"),
            hubs=list(hubs.items()) if isinstance(hubs, Mapping) else [(hub, 1) for hub in hubs],
            retry_after=dict(retry_after) if isinstance(retry_after, Mapping) else retry_after,
            assigning=options.get("assigning", 0.5),
            assign_at_once=options.get("assign_at_once", False),
            rate_limits=options.get("rate_limits", True),
            echo_payload=options.get("echo_payload", False),
            derive_as_sent=options.get("derive_as_sent", False),
            strict_at_connect=options.get("strict_at_connect", False),
            check_expiry_on_poll=options.get("check_expiry_on_poll", False),
            clock_offset_ms=_offset_ms("clock_offset", options.get("clock_offset", 0)),
            seed=options.get("seed"),
            state_dir=options.get("state_dir"),
        )

    @property
    def _running(self) -> Service:
        if self._service is None:
            raise RuntimeError("this emulator is not started: use it in a `with` block, or call start()")
        return self._service

    @property
    def host(self) -> str:
        """The host name or address that its certificate is for, without a port."""
        return self._running.host

    @property
    def https_port(self) -> int:
        """The port of HTTPS."""
        return self._running.ports["https"]

    @property
    def mqtt_port(self) -> int:
        """The port of MQTT over TLS."""
        return self._running.ports["mqtt"]

    @property
    def wss_port(self) -> int:
        """The port of MQTT over WebSocket."""
        return self._running.ports["mqtt-ws"]

    @property
    def id_scope(self) -> str:
        """The id scope."""
        return self._running.id_scope

    @property
    def ca_pem(self) -> str:
        """The certificate authority that clients have to trust, as PEM."""
        return self._running.ca_pem

    @property
    def ca_file(self) -> str:
        """A file with the same, for programs that want one. It goes when the emulator stops."""
        return self._ca_file if self._running else ""

    @property
    def connection_string(self) -> Secret:
        """What a service client connects with. Holds the policy key."""
        return self._running.native.connection_string()

    def client_kwargs(self, transport: Transport = "https") -> ServiceKwargs:
        """Keyword arguments that bring a client of this package here; Device.client_kwargs has the device's as well."""
        return self._running.client_kwargs(transport)

    def azure_client_kwargs(self, *, websockets: bool = False) -> AzureServiceKwargs:
        """Keyword arguments that bring the published Python client (azure-iot-device) here.

        Device.azure_client_kwargs has the device's as well. Needs the fixed ports.
        """
        return self._running.azure_client_kwargs(websockets)

    def enroll(
        self, registration_id: str, *, device_id: str | None = None, **settings: Unpack[EnrollmentSettings]
    ) -> Enrollment:
        """Creates or replaces the individual enrollment of one device.

        device_id is its id at the hub, if it is to be another than the registration id.
        """
        check_text("registration_id", registration_id)
        members: dict[str, Any] = {"registrationId": registration_id, **_members(settings)}
        if device_id is not None:
            check_text("device_id", device_id)
            members["deviceId"] = device_id
        with named_arguments():
            keys = self._running.native.put_enrollment(json.dumps(members))
        return Enrollment(self._running, registration_id, *keys)

    def enroll_group(self, group_id: str, **settings: Unpack[EnrollmentSettings]) -> EnrollmentGroup:
        """Creates or replaces an enrollment group, whose devices have keys derived from the group's."""
        check_text("group_id", group_id)
        members = {"enrollmentGroupId": group_id, **_members(settings)}
        with named_arguments():
            keys = self._running.native.put_group(json.dumps(members))
        return EnrollmentGroup(self._running, group_id, *keys)

    def inject(self, kind: FaultKind, *, registration_id: str | None = None, **details: Unpack[FaultDetails]) -> None:
        """Plans a fault for the next requests of one device, or of all; Device.inject is for its own.

        Each request meets at most one fault, the one that was planned first. What cannot come to pass raises
        ValueError, which says what would; so does a registration id that no enrollment can be for.
        """
        self._running.inject(registration_id, kind, details)

    @property
    def planned_faults(self) -> list[PlannedFault]:
        """The faults that are planned and not met yet, in the order in which requests meet them."""
        return planned_faults(self._running.native.planned_faults())

    def clear_faults(self) -> int:
        """Takes back all planned faults; how many plans there were."""
        return self._running.native.clear_faults(None)

    @property
    def counters(self) -> Counters:
        """How often it was called, by all devices together."""
        return finding(Counters, self._running.native.counters(None))

    def reset_counters(self) -> None:
        """Counts from zero again, for each device too."""
        self._running.native.reset_counters()

    @property
    def refusals(self) -> list[Refusal]:
        """The latest hundred credentials that were refused, oldest first, and why."""
        return findings(Refusal, self._running.native.refusals())

    def link_hub(self, host: str, weight: int = 1) -> None:
        """Links a hub, or changes its weight, from 1 to 1000."""
        check_text("host", host)
        self._running.native.link_hub(host, weight)

    def unlink_hub(self, host: str) -> bool:
        """Unlinks a hub, as when it is taken from the service; whether it was linked."""
        check_text("host", host)
        return self._running.native.unlink_hub(host)

    def set_clock_offset(self, offset: float | timedelta) -> None:
        """Sets the service's clock ahead of this machine's by so many seconds, or behind it when negative."""
        self._running.native.set_clock_offset_ms(_offset_ms("offset", offset))

    def __repr__(self) -> str:
        """Where it listens, if it does."""
        if self._service is None:
            return "Emulator(stopped)"
        return f"Emulator(host={self.host!r}, https_port={self.https_port}, mqtt_port={self.mqtt_port})"


def _members(settings: EnrollmentSettings) -> dict[str, Any]:
    """An enrollment's settings in the service's own JSON."""
    for name, value in settings.items():
        _check_type(name, value)
    unknown = settings.keys() - EnrollmentSettings.__annotations__.keys()
    if unknown:
        raise TypeError(f"an enrollment has no {', '.join(sorted(unknown))}")
    keys = {"primaryKey": settings.get("key"), "secondaryKey": settings.get("secondary_key")}
    given = {name: key.expose() if isinstance(key, Secret) else key for name, key in keys.items() if key is not None}
    members: dict[str, Any] = {"attestation": {"type": "symmetricKey", "symmetricKey": given}}
    if "enabled" in settings:
        members["provisioningStatus"] = "enabled" if settings["enabled"] else "disabled"
    if "iot_edge" in settings:
        members["capabilities"] = {"iotEdge": settings["iot_edge"]}
    if "hubs" in settings:
        hubs = list(settings["hubs"])
        members["allocationPolicy"] = "static" if len(hubs) == 1 else "hashed"
        members["iotHubs"] = hubs
    if "tags" in settings or "desired" in settings:
        desired = dict(settings.get("desired", {}))
        members["initialTwin"] = {"tags": dict(settings.get("tags", {})), "properties": {"desired": desired}}
    return {**members, **settings.get("more", {})}


def _check_type(name: str, value: object) -> None:
    """Refuses an option or a setting of a type that would only fail later, or mean something else."""
    if name in _FLAGS and not isinstance(value, bool):
        raise TypeError(f"argument '{name}': must be a bool, not {type(value).__name__}")
    if name == "hubs" and isinstance(value, str | bytes):
        raise TypeError("argument 'hubs': must be several hubs, such as ['hub-a.test'], not one text")
    if name == "id_scope":
        check_text(name, value)
    if name == "state_dir" and not isinstance(value, str | os.PathLike):
        raise TypeError(f"argument '{name}': must be the path of a folder, not {type(value).__name__}")


def _offset_ms(name: str, offset: object) -> int:
    """How far a clock is ahead, in milliseconds."""
    seconds = offset.total_seconds() if isinstance(offset, timedelta) else offset
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        kind = type(seconds).__name__
        raise TypeError(f"argument '{name}': must be a time in seconds or a timedelta, not {kind}")
    if not math.isfinite(seconds) or abs(seconds) > _OFFSET_MOST:
        raise ValueError(f"argument '{name}': must be at most {_OFFSET_MOST} seconds either way, not {seconds}")
    return round(seconds * 1000)
