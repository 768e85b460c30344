"""`on_progress` and signers: exceptions end the call before anything is sent, coroutines are awaited."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from dps_client import AsyncProvisioningClient, DpsError, Progress, ProvisioningClient, Signer, SymmetricKey
from dps_client.emulator import ClientKwargs, Emulator, Enrollment, Transport
from processes import wait_until

TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]
FACES = ["sync", "async"]
WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")
# Longer than a request on loopback takes, so that a request that was sent has arrived by then.
BLOCKED = 0.5


class Enough(BaseException):
    pass


def register(face: str, kwargs: ClientKwargs, **more: object) -> object:
    if face == "sync":
        return ProvisioningClient(**kwargs, **more).register()  # type: ignore[arg-type]
    return asyncio.run(AsyncProvisioningClient(**kwargs, **more).register())  # type: ignore[arg-type]


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Starts three threads that never release the GIL by themselves."""
    over = threading.Event()

    def turn() -> None:
        while not over.is_set():
            pass

    threads = [threading.Thread(target=turn) for _ in range(3)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("busy_threads")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("face", FACES)
def test_on_progress_that_raises_prevents_the_request(
    dps_enrollment: Enrollment, transport: Transport, face: str
) -> None:
    def watch(progress: Progress) -> None:
        if progress.step == "signing":
            # The loop is blocked while the registration could continue.
            time.sleep(BLOCKED)
        if progress.step == "sending":
            raise Enough

    with pytest.raises(Enough):
        register(face, dps_enrollment.client_kwargs(transport), on_progress=watch)
    assert dps_enrollment.counters.registers == 0
    assert dps_enrollment.record is None


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("face", FACES)
def test_on_progress_that_raises_prevents_the_poll(dps_enrollment: Enrollment, transport: Transport, face: str) -> None:
    def watch(progress: Progress) -> None:
        if progress.step == "waiting":
            time.sleep(BLOCKED)
        if progress.call == "status":
            raise Enough

    with pytest.raises(Enough):
        register(face, dps_enrollment.client_kwargs(transport), on_progress=watch)
    assert (dps_enrollment.counters.registers, dps_enrollment.counters.polls) == (1, 0)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, StopIteration, asyncio.CancelledError, ValueError])
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@pytest.mark.parametrize("face", FACES)
def test_exception_in_on_progress_reaches_the_caller(
    dps_enrollment: Enrollment, face: str, kind: str, raised: type[BaseException]
) -> None:
    def plain(progress: Progress) -> None:
        raise raised

    async def coroutine(progress: Progress) -> None:
        await asyncio.sleep(0)
        raise raised

    # A coroutine and a future cannot end with StopIteration.
    expected = RuntimeError if raised is StopIteration and (kind, face) != ("plain", "sync") else raised
    watch: Callable[[Progress], object] = plain if kind == "plain" else coroutine
    with pytest.raises(expected):
        register(face, dps_enrollment.client_kwargs(), on_progress=watch)
    assert dps_enrollment.counters.registers == 0


@pytest.mark.parametrize("face", FACES)
def test_coroutine_on_progress_is_awaited_before_each_step(dps_enrollment: Enrollment, face: str) -> None:
    seen: list[tuple[str, int]] = []

    async def watch(progress: Progress) -> None:
        await asyncio.sleep(0.05)
        seen.append((progress.step, dps_enrollment.counters.registers))

    register(face, dps_enrollment.client_kwargs(), on_progress=watch)
    assert seen[:2] == [("signing", 0), ("sending", 0)]
    assert len(seen) == 4 or [step for step, _ in seen[2:]] == ["sending"]


@pytest.mark.parametrize("face", FACES)
def test_coroutine_on_progress_that_hangs_ends_at_the_deadline(dps_enrollment: Enrollment, face: str) -> None:
    cancelled = threading.Event()

    async def watch(progress: Progress) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(DpsError):
        register(face, dps_enrollment.client_kwargs(), on_progress=watch, timeout=0.5, request_timeout=0.2)
    assert wait_until(cancelled.is_set)
    assert dps_enrollment.counters.registers == 0


@pytest.mark.parametrize("what", ["watcher", "signer"])
def test_canceled_task_cancels_the_coroutine_that_it_waits_for(dps_enrollment: Enrollment, what: str) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def coroutine(_: object) -> bytes:
        began.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return b""

    kwargs = dps_enrollment.client_kwargs()
    if what == "signer":
        kwargs["attestation"] = Signer(coroutine)
        client = AsyncProvisioningClient(**kwargs)
    else:
        client = AsyncProvisioningClient(**kwargs, on_progress=coroutine)

    async def main() -> None:
        task = asyncio.ensure_future(client.register())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(cancelled.wait(), 20)

    asyncio.run(main())
    assert dps_enrollment.counters.registers == 0


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
@pytest.mark.parametrize("face", FACES)
def test_on_progress_and_signers_run_in_the_callers_context(dps_enrollment: Enrollment, face: str, kind: str) -> None:
    key = SymmetricKey(dps_enrollment.key)
    seen: list[str] = []

    def watch(progress: Progress) -> None:
        seen.append(WHO.get())

    async def watch_later(progress: Progress) -> None:
        await asyncio.sleep(0)
        seen.append(WHO.get())

    def sign(to_sign: bytes) -> bytes:
        seen.append(WHO.get())
        return key.sign(to_sign)

    async def sign_later(to_sign: bytes) -> bytes:
        await asyncio.sleep(0)
        return sign(to_sign)

    kwargs = dps_enrollment.client_kwargs()
    kwargs["attestation"] = Signer(sign if kind == "plain" else sign_later)
    watcher: Callable[[Progress], object] = watch if kind == "plain" else watch_later
    client = AsyncProvisioningClient(**kwargs, on_progress=watcher)

    async def main() -> None:
        WHO.set("caller")
        task = asyncio.ensure_future(client.register())
        await asyncio.sleep(0)
        WHO.set("later")
        await task

    def sync() -> None:
        WHO.set("caller")
        ProvisioningClient(**kwargs, on_progress=watcher).register()

    contextvars.copy_context().run(sync if face == "sync" else lambda: asyncio.run(main()))
    assert len(seen) >= 4
    assert set(seen) == {"caller"}
    assert WHO.get() == "nobody"


def test_on_progress_of_blocking_call_can_wait_for_coroutine_despite_running_loop(dps_emulator: Emulator) -> None:
    told: list[str] = []

    async def watch(progress: Progress) -> None:
        told.append(progress.step)

    async def main() -> None:
        device = dps_emulator.enroll("blocking-in-a-loop")
        ProvisioningClient(**device.client_kwargs(), on_progress=watch).register()

    asyncio.run(main())
    assert told[:2] == ["signing", "sending"]
