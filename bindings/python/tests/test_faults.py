"""The fault matrix over sockets: each fault over each transport has the outcome in the table."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import vectors
from dps_client import AsyncProvisioningClient, DpsError
from dps_client.emulator import DeviceCertificate, Emulator, EmulatorOptions, Enrollment, Transport

MATRIX = vectors.read("faults.json")
# 32 bytes, the length of a device key, on which the hints depend.
KEY = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
# Most of a row is waiting; too many handshakes at the same time would delay others.
AT_ONCE = 16
# The allowed time after the deadline, for a busy computer.
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


@contextlib.asynccontextmanager
async def proxy_of(row: dict[str, Any]) -> AsyncIterator[str | None]:
    """Yields the URL of a proxy with the faults of the row, which opens tunnels to loopback ports afterwards."""
    plan = row.get("proxy")
    if plan is None:
        yield None
        return
    left = plan["times"]

    async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while received := await source.read(65536):
                to.write(received)
                await to.drain()
        to.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        if left > 0:
            left -= 1
            schemes = 'Proxy-Authenticate: Basic realm="faults"\r\n' if plan["status"] == 407 else ""
            writer.write(f"HTTP/1.1 {plan['status']} x\r\n{schemes}Content-Length: 0\r\n\r\n".encode())
            writer.close()
            return
        there, to = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(copy(reader, to), copy(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


def enrolled(emulator: Emulator, certificate: dict[str, Any] | None) -> Enrollment:
    if certificate is None:
        return emulator.enroll("dev-01", key=KEY)
    valid_for = certificate.get("validSeconds")
    return emulator.enroll("dev-01", certificate=DeviceCertificate.self_signed("dev-01", valid_for=valid_for))


async def ending_of(row: dict[str, Any], transport: Transport) -> tuple[dict[str, Any], timedelta]:
    settings = {**MATRIX["defaults"]["client"], **row.get("client", {})}
    service = {**MATRIX["defaults"]["service"], **row.get("service", {})}
    options: EmulatorOptions = {
        "assigning": service["assigningMs"] / 1000,
        "retry_after": service["retryAfter"],
        "check_expiry_on_poll": service["checkExpiryOnPoll"],
    }
    with Emulator(**options) as emulator:
        async with proxy_of(row) as proxy:
            device = enrolled(emulator, row.get("certificate"))
            arguments: dict[str, Any] = {**device.client_kwargs(transport), **client_options(settings, transport)}
            client = AsyncProvisioningClient(**{**arguments, "proxy": proxy or False})
            if row.get("call") == "lookup":
                await client.register()
                emulator.reset_counters()
            for plan in row.get("plans", []):
                emulator.inject(**{MEMBERS.get(name, name): value for name, value in plan.items()})
            ending, took = await ending_of_call(client, row.get("call", "register"))
        counted = emulator.counters
    ending["requests"] = {
        "register": counted.registers,
        "poll": counted.polls,
        "lookup": counted.lookups,
        "connect": counted.connects if transport != "https" else 0,
    }
    return ending, took - timedelta(milliseconds=settings["deadlineMs"])


async def ending_of_call(client: AsyncProvisioningClient, call: str) -> tuple[dict[str, Any], timedelta]:
    loop = asyncio.get_running_loop()
    start = loop.time()
    ending: dict[str, Any] = {"recovers": True}
    try:
        await (client.lookup() if call == "lookup" else client.register())
    except DpsError as error:
        after = None if error.retry_after is None else round(error.retry_after / timedelta(milliseconds=1))
        ending = {"recovers": False, "error": error.name, "number": error.code, "verdict": error.verdict}
        ending |= {"afterMs": after, "hint": error.hints[0].name if error.hints else None}
    return ending, timedelta(seconds=loop.time() - start)


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


def test_every_fault_has_the_expected_outcome_before_its_deadline() -> None:
    problems = asyncio.run(run_all())
    assert not problems, "\n".join(problems)


def test_every_kind_of_fault_is_in_the_matrix_and_in_the_types() -> None:
    from typing import get_args

    from dps_client import _native
    from dps_client.emulator import FaultKind, FaultPlace

    meanings = dict(_native.fault_kinds())
    assert set(get_args(FaultKind)) == set(meanings)
    # No device of the matrix has a TPM, or requests a certificate.
    kinds = {name for name, meaning in meanings.items() if not meaning.startswith("TPM:")}
    kinds -= {"duplicate-reply", "foreign-certificate"}
    planned = [plan for row in MATRIX["faults"] for plan in row.get("plans", [])]
    assert {plan["kind"] for plan in planned} == kinds
    assert {plan.get("at", "any") for plan in planned} <= set(get_args(FaultPlace))


def test_impossible_faults_are_refused() -> None:
    with Emulator() as emulator:
        device = emulator.enroll("dev-01")
        with pytest.raises(ValueError, match="'at' must be connect"):
            device.inject("no-ping", at="poll")
        with pytest.raises(ValueError, match="'status' is missing"):
            device.inject("server-error")
        with pytest.raises(ValueError, match="'times'"):
            device.inject("silent", times=0)
        assert emulator.planned_faults == []
