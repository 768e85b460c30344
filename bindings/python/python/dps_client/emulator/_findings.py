"""What devices did, as the emulator saw it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeVar

_Finding = TypeVar("_Finding")


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Requests since the emulator began, or since its counters were reset."""

    registers: int
    """Registers that arrived, whatever became of them."""
    polls: int
    """Polls that arrived."""
    lookups: int
    """Lookups that arrived."""
    connects: int
    """MQTT connections that said CONNECT."""
    subscribes: int
    """SUBSCRIBEs that arrived."""
    admin: int
    """Admin calls that arrived."""
    rejected: int
    """Requests refused with 4xx, those below included."""
    unauthorized: int
    """Requests refused with 401."""
    throttled: int
    """Requests refused with 429, by rate or on command."""
    conflicts: int
    """Registers refused with 409."""
    server_errors: int
    """Requests answered with 5xx."""
    faults: int
    """Faults that were met."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One credential that was refused, and why: what the service never tells the one who asks."""

    registration_id: str
    """As it was sent; empty for an admin call."""
    reason: str
    """Such as "bad-signature", "expired", "group-key-used" or "unknown-registration"."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the service remembers of a device's registration."""

    registration_id: str
    """As it was spelled first."""
    status: str
    """ "assigning", "assigned", "failed" or "disabled"."""
    substatus: str | None
    """How it came to its hub, once assigned."""
    assigned_hub: str | None
    """The hub, once assigned."""
    device_id: str | None
    """The device id at the hub, once assigned."""
    enrollment_group_id: str | None
    """The group that let the device in, if a group did."""


@dataclass(frozen=True, kw_only=True)
class HubDevice:
    """A device's entry in a hub."""

    hub: str
    """The hub's host name."""
    device_id: str
    """The device id; compared with letter case."""
    iot_edge: bool
    """Whether it is an IoT Edge device."""
    tags: dict[str, Any]
    """The twin's tags."""
    desired: dict[str, Any]
    """The twin's desired properties."""


@dataclass(frozen=True, kw_only=True)
class PlannedFault:
    """A fault that was planned and that requests will yet meet."""

    kind: str
    """What goes wrong, such as "throttle"."""
    at: str
    """Which requests meet it."""
    registration_id: str | None
    """Whose requests meet it; every device's when None."""
    times: int
    """How many requests were to meet it."""
    left: int
    """How many more will."""
    details: dict[str, Any]
    """What belongs to the kind, in the emulator's own JSON, such as {"retryAfter": 7}."""


def unmet(planned: list[PlannedFault]) -> list[PlannedFault]:
    """The faults that no request met at all."""
    return [fault for fault in planned if fault.left == fault.times]


def finding(kind: type[_Finding], text: str) -> _Finding:
    """One finding from the emulator's JSON."""
    return kind(**_snake_case(json.loads(text)))


def findings(kind: type[_Finding], text: str) -> list[_Finding]:
    """Several findings from the emulator's JSON."""
    return [kind(**_snake_case(members)) for members in json.loads(text)]


def planned_faults(text: str) -> list[PlannedFault]:
    """Planned faults from the emulator's JSON."""
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
