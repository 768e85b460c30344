"""Events: what reached the emulator, and waiting for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypedDict

from dps_client import _native

EventKind = Literal["connection", "disconnection", "exchange", "refusal", "hub-sign-in", "fault", "webhook"]
"""What happened; "refusal" is an exchange that was refused."""

# How many events the error of a wait shows.
_SHOWN_MAX = 8


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened at the emulator. str() is the line that `dps emulator log` prints for it."""

    seq: int
    """Counts the events since the emulator started, from 1."""
    kind: EventKind
    """What happened."""
    registration_id: str | None
    """The registration id as it was sent, or the device id at a hub."""
    call: str | None
    """Of exchanges and refusals: "register", "poll", "lookup", "connect" and so on."""
    status: int | None
    """Of exchanges, refusals and webhooks: the status of the reply, or the code of CONNACK or SUBACK."""
    reason: str | None
    """The reason of a refusal, such as "bad-signature"; docs/events.md lists all."""
    members: Mapping[str, Any] = field(repr=False)
    """All members, as docs/events.schema.json describes them, such as "token", "earlyByMs" and "connection"."""
    line: str = field(repr=False)
    """The line that `dps emulator log` prints."""

    def __str__(self) -> str:
        """Returns the line that `dps emulator log` prints."""
        return self.line


class EventConditions(TypedDict, total=False):
    """Which event is waited for; each condition that is set must hold."""

    kind: EventKind
    """What happened."""
    reason: str
    """The reason of a refusal."""
    call: str
    """The call, such as "register"."""
    status: int
    """The status of the reply."""
    after: int
    """Only events after the one with this seq; 0 by default, so that earlier events count too."""


def events(native: _native.Emulator, registration_id: str | None, conditions: EventConditions) -> list[Event]:
    """Returns the events that the emulator keeps, oldest first."""
    text = native.events(_checked(registration_id, conditions))
    return [_event(**found) for found in json.loads(text)]


def wait_for(
    native: _native.Emulator, registration_id: str | None, timeout: float | timedelta, conditions: EventConditions
) -> Event:
    """Waits for an event. Raises TimeoutError, which shows what happened instead."""
    found = native.wait_for(_checked(registration_id, conditions), timeout)
    if found is None:
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        raise TimeoutError(_told_instead(native, registration_id, seconds))
    return _event(**json.loads(found))


def _checked(registration_id: str | None, conditions: EventConditions) -> dict[str, Any]:
    unknown = conditions.keys() - EventConditions.__annotations__.keys()
    if unknown:
        raise TypeError(f"unknown condition {', '.join(sorted(unknown))}")
    return {"registration_id": registration_id, **conditions}


def _told_instead(native: _native.Emulator, registration_id: str | None, seconds: float) -> str:
    latest = events(native, registration_id, {})[-_SHOWN_MAX:]
    problem = f"no event matched within {seconds:g} s; "
    if not latest:
        return problem + "nothing arrived"
    return problem + "the latest events are:\n" + "\n".join(f"  {event}" for event in latest)


def _event(line: str, event: dict[str, Any]) -> Event:
    return Event(
        seq=event["seq"],
        kind=event["kind"],
        registration_id=event.get("registrationId"),
        call=event.get("call"),
        status=event.get("status"),
        reason=event.get("reason"),
        members=event,
        line=line,
    )
