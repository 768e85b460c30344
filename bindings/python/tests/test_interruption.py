"""Ctrl-C and cancellation end a registration immediately, whatever it waits for, and close everything."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from dps_client import AsyncProvisioningClient, ProvisioningClient, Signer
from dps_client.emulator import Emulator, Enrollment, Transport
from processes import LIMIT, gives_back, held, wait_until

HOUR = 3600.0
TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]


@pytest.fixture(autouse=True)
def listens_to_ctrl_c() -> Iterator[None]:
    """Sets Python's default handler, which is missing if the parent ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_once_registering(device: Enrollment) -> threading.Thread:
    """Sends SIGINT when the service has received the device's request."""

    def press() -> None:
        if wait_until(lambda: device.counters.registers > 0):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("wait", ["hint", "silence"])
def test_ctrl_c_ends_a_wait_immediately(dps_emulator: Emulator, transport: Transport, wait: str) -> None:
    device = dps_emulator.enroll(f"ctrl-c-{transport}-{wait}")
    if wait == "hint":
        device.inject("throttle", retry_after=int(HOUR))
    else:
        device.inject("silent")
    client = ProvisioningClient(**device.client_kwargs(transport), timeout=2 * HOUR, request_timeout=2 * HOUR)
    start = held()
    press = interrupt_once_registering(device)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        client.register()
    assert time.monotonic() - began < LIMIT
    press.join()
    assert gives_back(start), (start, held())
    assert client.register().hub == "hub-a.test"


def test_ctrl_c_ends_a_wait_for_a_signer_that_blocks(dps_enrollment: Enrollment) -> None:
    asked, over = threading.Event(), threading.Event()

    def sign(to_sign: bytes) -> bytes:
        asked.set()
        over.wait()
        return b""

    def press() -> None:
        if asked.wait(LIMIT):
            os.kill(os.getpid(), signal.SIGINT)

    kwargs = dps_enrollment.client_kwargs()
    kwargs["attestation"] = Signer(sign)
    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        ProvisioningClient(**kwargs, timeout=2 * HOUR, request_timeout=2 * HOUR).register()
    over.set()
    thread.join()


def test_ctrl_c_ends_a_wait_for_an_event(dps_enrollment: Enrollment) -> None:
    waiting = threading.get_ident()

    def press() -> None:
        if wait_until(lambda: sys._current_frames()[waiting].f_code.co_name == "wait_for"):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        dps_enrollment.wait_for(kind="refusal", timeout=HOUR)
    assert time.monotonic() - began < LIMIT
    thread.join()


def test_other_signals_are_handled_during_a_call(dps_enrollment: Enrollment) -> None:
    handled: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: handled.append(number))
    try:
        dps_enrollment.inject("delay", ms=300)

        def send() -> None:
            if wait_until(lambda: dps_enrollment.counters.registers > 0):
                os.kill(os.getpid(), signal.SIGUSR1)

        thread = threading.Thread(target=send)
        thread.start()
        assert ProvisioningClient(**dps_enrollment.client_kwargs()).register().hub == "hub-a.test"
        thread.join()
        assert handled == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("way", ["cancel", "wait_for"])
def test_canceling_a_task_ends_its_call_immediately(dps_emulator: Emulator, transport: Transport, way: str) -> None:
    device = dps_emulator.enroll(f"cancelled-{transport}-{way}")
    device.inject("silent")
    client = AsyncProvisioningClient(**device.client_kwargs(transport), timeout=2 * HOUR, request_timeout=2 * HOUR)

    async def cancel() -> None:
        task = asyncio.ensure_future(client.register())
        while device.counters.registers == 0:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def wait_for() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.register(), timeout=0.5)

    async def main() -> None:
        # The loop's file descriptors are open by now.
        start = held()
        began = time.monotonic()
        await (cancel() if way == "cancel" else wait_for())
        assert time.monotonic() - began < LIMIT
        while not held().descriptors <= start.descriptors and time.monotonic() - began < LIMIT:
            await asyncio.sleep(0.005)
        assert held().descriptors <= start.descriptors

    start = held()
    asyncio.run(asyncio.wait_for(main(), 2 * LIMIT))
    assert gives_back(start), (start, held())
    assert asyncio.run(client.register()).hub == "hub-a.test"


def test_other_threads_run_while_a_call_waits(dps_enrollment: Enrollment) -> None:
    dps_enrollment.inject("delay", ms=500)
    over = threading.Event()

    def register() -> None:
        ProvisioningClient(**dps_enrollment.client_kwargs()).register()
        over.set()

    thread = threading.Thread(target=register)
    thread.start()
    turns = 0
    while not over.is_set():
        turns += 1
        time.sleep(0)
    thread.join()
    assert turns > 100


def test_closing_the_loop_ends_its_calls(dps_enrollment: Enrollment) -> None:
    dps_enrollment.inject("silent")
    client = AsyncProvisioningClient(**dps_enrollment.client_kwargs(), timeout=2 * HOUR, request_timeout=2 * HOUR)

    async def leave() -> None:
        task = asyncio.ensure_future(client.register())
        while dps_enrollment.counters.registers == 0:
            await asyncio.sleep(0.005)
        assert not task.done()

    start = held()
    asyncio.run(leave())
    assert gives_back(start), (start, held())
