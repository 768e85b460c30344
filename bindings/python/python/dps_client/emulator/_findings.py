"""What the emulator recorded of its devices."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeVar

_Finding = TypeVar("_Finding")


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Numbers of requests since the emulator started, or since its counters were reset."""

    registers: int
    """Register requests, whatever their result."""
    polls: int
    """Polls."""
    lookups: int
    """Lookups."""
    connects: int
    """MQTT connections that sent CONNECT."""
    subscribes: int
    """SUBSCRIBE packets."""
    admin: int
    """Admin calls."""
    rejected: int
    """Requests refused with 4xx, including those below."""
    unauthorized: int
    """Requests refused with 401."""
    throttled: int
    """Requests refused with 429, by a rate limit or a fault."""
    conflicts: int
    """Register requests refused with 409."""
    server_errors: int
    """Requests answered with 5xx."""
    faults: int
    """Requests that met a fault."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A refused credential and the reason, which the service never reports to the client."""

    registration_id: str
    """The registration id as it was sent; empty for an admin call."""
    reason: str
    """The reason, such as "bad-signature", "expired", "group-key-used" or "unknown-registration"."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """The registration record of a device."""

    registration_id: str
    """The registration id in the spelling of the first registration."""
    status: str
    """The status: "assigning", "assigned", "failed" or "disabled"."""
    substatus: str | None
    """The substatus, once assigned."""
    assigned_hub: str | None
    """The hub, once assigned."""
    device_id: str | None
    """The device id at the hub, once assigned."""
    enrollment_group_id: str | None
    """The enrollment group of the device, if it has no individual enrollment."""


@dataclass(frozen=True, kw_only=True)
class HubDevice:
    """A device's entry in a hub."""

    hub: str
    """The host name of the hub."""
    device_id: str
    """The device id, which is case-sensitive."""
    iot_edge: bool
    """Whether it is an IoT Edge device."""
    tags: dict[str, Any]
    """The twin's tags."""
    desired: dict[str, Any]
    """The twin's desired properties."""


@dataclass(frozen=True, kw_only=True)
class PlannedFault:
    """A planned fault that is still pending."""

    kind: str
    """The kind, such as "throttle"."""
    at: str
    """The requests that meet it."""
    registration_id: str | None
    """The device whose requests meet it; None for every device."""
    times: int
    """How many requests it was planned for."""
    left: int
    """How many requests are left."""
    details: dict[str, Any]
    """The details of the kind, in the emulator's JSON, such as {"retryAfter": 7}."""


def unmet(planned: list[PlannedFault]) -> list[PlannedFault]:
    """Returns the faults that no request met."""
    return [fault for fault in planned if fault.left == fault.times]


def finding(kind: type[_Finding], text: str) -> _Finding:
    """Parses one record of the emulator's JSON."""
    return kind(**_snake_case(json.loads(text)))


def findings(kind: type[_Finding], text: str) -> list[_Finding]:
    """Parses a list of records of the emulator's JSON."""
    return [kind(**_snake_case(members)) for members in json.loads(text)]


def planned_faults(text: str) -> list[PlannedFault]:
    """Parses the planned faults of the emulator's JSON."""
    common = ("kind", "at", "registrationId", "times", "left")
    return [
        PlannedFault(
            kind=fault["kind"],
            at=fault["at"],
            registration_id=fault.get("registrationId"),
            times=fault["times"],
            left=fault["left"],
            details={name: value for name, value in fault.items() if name not in common},
        )
        for fault in json.loads(text)
    ]


def _snake_case(members: dict[str, Any]) -> dict[str, Any]:
    return {re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name): value for name, value in members.items()}
