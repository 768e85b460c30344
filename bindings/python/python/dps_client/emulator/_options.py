"""The options of an emulator, and their conversion for the native one."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, TypedDict

from dps_client import _native
from dps_client.emulator._devices import RetryAfter
from dps_client.emulator._settings import check_type

HubProfile = Literal["classic", "mqttV5"]
"""The protocol of a hub: MQTT 3.1.1, AMQP and HTTPS, or MQTT 5."""

IssuanceCodes = Literal["current", "early"]
"""A generation of the codes by which certificate requests are refused."""

# Ten years.
_OFFSET_MOST = 10 * 365 * 24 * 3600


class EmulatorOptions(TypedDict, total=False):
    """Options of an Emulator; everything has a default."""

    fixed_ports: bool
    """Whether to listen on 443 and 8883, which published clients require, instead of on free ports."""
    id_scope: str
    """The id scope; 0ne00A1B2C3 by default."""
    hubs: Sequence[str] | Mapping[str, int]
    """The linked hubs, or each with its weight from 1 to 1000; hub-a.test by default."""
    retry_after: RetryAfter | None
    """The hint while assigning; 1 second by default, None for no hint."""
    assigning: float | timedelta
    """How long an assignment takes, in seconds or as a timedelta; half a second by default."""
    assign_at_once: bool
    """Whether to answer the register call with the assignment, so that no poll is needed."""
    rate_limits: bool
    """Whether to throttle like the service (default): 1000 registrations per minute, 5 polls per device in 10 s."""
    echo_payload: bool
    """Whether to return a device's own payload, as an allocation webhook might."""
    hub_profiles: Mapping[str, HubProfile]
    """The connection profiles of linked hubs; "classic" by default. A hub with "mqttV5" refuses MQTT 3.1.1."""
    certificate_days: int
    """The life of an issued certificate, in days from 7 to 90; 30 by default."""
    p384_only: bool
    """Whether to issue certificates for keys of EC P-384 only."""
    issuance_codes: IssuanceCodes
    """The codes by which certificate requests are refused: "current" by default, or those of "early" 2026."""
    webhook_hosts: Sequence[str]
    """Hosts of allocation webhooks that may be called, over plain HTTP too; loopback only by default."""
    webhook_roots: str
    """The certificate authorities that are trusted for webhooks over HTTPS, as PEM; the system's by default."""
    webhook_timeout: float | timedelta
    """How long an allocation webhook may take to reply, in seconds or as a timedelta; 5 seconds by default."""
    derive_as_sent: bool
    """Whether to derive a group's device keys only from the id exactly as sent, not also from its lower-case form."""
    strict_at_connect: bool
    """Whether to refuse invalid credentials at MQTT's CONNECT already, unlike the service."""
    check_expiry_on_poll: bool
    """Whether to check a token's expiry on polls too, which some clients do not handle."""
    clock_offset: float | timedelta
    """How far the service's clock is ahead of the system's, in seconds or as a timedelta; negative for behind."""
    seed: int
    """A seed that makes keys and ids the same in every run; they can then be guessed."""
    state_dir: str | os.PathLike[str]
    """A directory in which enrollments, the certificate authority and the policy key survive a restart."""


def check(options: EmulatorOptions) -> None:
    """Raises TypeError for an unknown option, and for one of the wrong type."""
    unknown = options.keys() - EmulatorOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"unknown option {', '.join(sorted(unknown))}")
    for name, value in options.items():
        check_type(name, value)


def listen(options: EmulatorOptions, address: str, https_port: int, mqtt_port: int, wss_port: int) -> _native.Emulator:
    """Starts an emulator with these options; port 0 is any free port."""
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
        hub_profiles=list(options.get("hub_profiles", {}).items()),
        certificate_days=options.get("certificate_days", 30),
        p384_only=options.get("p384_only", False),
        issuance_codes=options.get("issuance_codes", "current"),
        webhook_hosts=list(options.get("webhook_hosts", ())),
        webhook_roots=options.get("webhook_roots"),
        webhook_timeout=options.get("webhook_timeout", 5),
        derive_as_sent=options.get("derive_as_sent", False),
        strict_at_connect=options.get("strict_at_connect", False),
        check_expiry_on_poll=options.get("check_expiry_on_poll", False),
        clock_offset_ms=offset_ms("clock_offset", options.get("clock_offset", 0)),
        seed=options.get("seed"),
        state_dir=options.get("state_dir"),
    )


def offset_ms(name: str, offset: object) -> int:
    """Returns the offset of a clock, an argument in seconds or a timedelta, in milliseconds."""
    seconds = offset.total_seconds() if isinstance(offset, timedelta) else offset
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        kind = type(seconds).__name__
        raise TypeError(f"argument '{name}': must be a time in seconds or a timedelta, not {kind}")
    if not math.isfinite(seconds) or abs(seconds) > _OFFSET_MOST:
        raise ValueError(f"argument '{name}': must be at most {_OFFSET_MOST} seconds either way, not {seconds}")
    return round(seconds * 1000)
