"""The fault matrix of every language, over sockets: each fault over each transport ends as the table says."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import vectors
from dps_client import AsyncProvisioningClient, DpsError
from dps_client.emulator import Emulator, EmulatorOptions, Transport

MATRIX = vectors.read("faults.json")
# 32 bytes, as a device key has: the hints go by it.
KEY = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
# Most of a row is waiting; too many handshakes at once would make others wait.
AT_ONCE = 16
# Beyond the deadline: for a busy machine.
GRACE = timedelta(seconds=5)
MEMBERS = {"retryAfter": "retry_after", "bytes": "size"}


def client_options(settings: dict[str, Any], transport: Transport) -> dict[str, Any]:
    options: dict[str, Any] = {
        "seed": settings["seed"],
        "timeout": settings["deadlineMs"] / 1000,
        "request_timeout": settings["requestTimeoutMs"] / 1000,
        "poll_interval": settings["pollIntervalMs"] / 1000,
        "minimum_spacing": settings["minimumSpacingMs"] / 1000,
        "reply_limit": settings["replyLimitBytes"],
    }
    if transport != "https":
        options["keep_alive"] = settings["keepAliveSeconds"]
    return options


def wanted(row: dict[str, Any]) -> dict[str, Any]:
    expect = row["expect"]
    requests = {call: expect["requests"].get(call, 0) for call in ("register", "poll", "lookup", "connect")}
    ending: dict[str, Any] = {"recovers": expect["recovers"], "requests": requests}
    if not expect["recovers"]:
        names = ("error", "number", "verdict", "afterMs", "hint")
        ending.update({name: expect.get(name) for name in names})
    return ending


async def ending_of(row: dict[str, Any], transport: Transport) -> tuple[dict[str, Any], timedelta]:
    settings = {**MATRIX["defaults"]["client"], **row.get("client", {})}
    service = {**MATRIX["defaults"]["service"], **row.get("service", {})}
    options: EmulatorOptions = {"assigning": service["assigningMs"] / 1000, "retry_after": service["retryAfter"]}
    with Emulator(**options) as emulator:
        device = emulator.enroll("dev-01", key=KEY)
        client = AsyncProvisioningClient(**device.client_kwargs(transport), **client_options(settings, transport))
        if row.get("call") == "lookup":
            await client.register()
            emulator.reset_counters()
        for plan in row["plans"]:
            emulator.inject(**{MEMBERS.get(name, name): value for name, value in plan.items()})
        loop = asyncio.get_running_loop()
        start = loop.time()
        ending: dict[str, Any] = {"recovers": True}
        try:
            await (client.lookup() if row.get("call") == "lookup" else client.register())
        except DpsError as error:
            after = None if error.retry_after is None else round(error.retry_after / timedelta(milliseconds=1))
            ending = {"recovers": False, "error": error.name, "number": error.code, "verdict": error.verdict}
            ending |= {"afterMs": after, "hint": error.hints[0].name if error.hints else None}
        took = timedelta(seconds=loop.time() - start) - timedelta(milliseconds=settings["deadlineMs"])
        counted = emulator.counters
    ending["requests"] = {
        "register": counted.registers,
        "poll": counted.polls,
        "lookup": counted.lookups,
        "connect": counted.connects if transport != "https" else 0,
    }
    return ending, took


async def run_all() -> list[str]:
    room = asyncio.Semaphore(AT_ONCE)

    async def problem_of(row: dict[str, Any], transport: Transport) -> str | None:
        async with room:
            got, late = await ending_of(row, transport)
        want = wanted(row)
        if transport == "https":
            want["requests"]["connect"] = 0
        if got != want:
            return f"{row['id']} over {transport}: got {got}, wanted {want}"
        return f"{row['id']} over {transport}: {late} past its deadline" if late > GRACE else None

    rows = [(row, transport) for row in MATRIX["faults"] for transport in row["transports"]]
    assert len(rows) > 300
    problems = await asyncio.gather(*(problem_of(row, transport) for row, transport in rows))
    return [problem for problem in problems if problem is not None]


def test_every_fault_ends_as_the_table_says_and_by_its_deadline() -> None:
    problems = asyncio.run(run_all())
    assert not problems, "\n".join(problems)


def test_every_kind_of_fault_is_in_the_matrix_and_in_the_types() -> None:
    from typing import get_args

    from dps_client import _native
    from dps_client.emulator import FaultKind, FaultPlace

    kinds = {name for name, _ in _native.fault_kinds()}
    assert set(get_args(FaultKind)) == kinds
    planned = [plan for row in MATRIX["faults"] for plan in row["plans"]]
    assert {plan["kind"] for plan in planned} == kinds
    assert {plan.get("at", "any") for plan in planned} <= set(get_args(FaultPlace))


def test_what_cannot_come_to_pass_is_refused() -> None:
    with Emulator() as emulator:
        device = emulator.enroll("dev-01")
        with pytest.raises(ValueError, match="'at' must be connect"):
            device.inject("no-ping", at="poll")
        with pytest.raises(ValueError, match="'status' is missing"):
            device.inject("server-error")
        with pytest.raises(ValueError, match="'times'"):
            device.inject("silent", times=0)
        assert emulator.planned_faults == []
