"""Many registrations in one process, and processes that fork during calls."""

import asyncio
import concurrent.futures
import gc
import itertools
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable

import pytest
from dps_client import AsyncProvisioningClient, ProvisioningClient, ServiceError, derive_device_keys
from dps_client.emulator import Emulator, Transport
from processes import LIMIT, gives_back, held, wait_until

TRANSPORTS: list[Transport] = ["https", "mqtt", "mqtt-ws"]
MANY = 500
GROUP = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
# Long strings are slow to read.
IDS = [f"sn-{number:0120}" for number in range(60_000)]
# The next batch is large enough for several threads, which have just started.
UNDER_WAY = 16_129


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_five_hundred_concurrent_registrations_succeed(dps_emulator: Emulator, transport: Transport) -> None:
    group = dps_emulator.enroll_group(f"fleet-{transport}")
    # So many handshakes at the same time are slow on a small computer.
    clients = [
        AsyncProvisioningClient(**group.device(f"dev-{number:03}").client_kwargs(transport), timeout=300)
        for number in range(MANY)
    ]

    async def all_of_them() -> set[str]:
        assignments = await asyncio.gather(*(client.register() for client in clients))
        return {assignment.device_id for assignment in assignments}

    start = held()
    assert asyncio.run(all_of_them()) == {f"dev-{number:03}" for number in range(MANY)}
    assert gives_back(start), (start, held())
    group.remove()


def test_threads_share_a_client(dps_emulator: Emulator) -> None:
    device = dps_emulator.enroll("shared")
    client = ProvisioningClient(**device.client_kwargs(), timeout=60)
    client.register()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        hubs = list(pool.map(lambda _: client.lookup().hub, range(40)))
    assert hubs == ["hub-a.test"] * 40


def test_stopped_emulator_releases_threads_and_files() -> None:
    start = held()
    for _ in range(3):
        with Emulator() as emulator:
            file = emulator.ca_file
            assert os.path.exists(file)
        assert not os.path.exists(file)
    assert gives_back(start), (start, held())


def test_dropped_emulator_releases_threads_and_files() -> None:
    start = held()
    emulator = Emulator()
    emulator.start()
    with warnings.catch_warnings():
        # Its directory warns that it was not closed.
        warnings.simplefilter("ignore", ResourceWarning)
        del emulator
        gc.collect()
    assert gives_back(start), (start, held())


def in_a_fork(job: Callable[[], None]) -> None:
    """Runs a job in a forked child, which must succeed within the limit."""
    with warnings.catch_warnings():
        # Python 3.12 warns of every fork with threads; this test checks that it works here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = multiprocessing.get_context("fork").Process(target=job)
        child.start()
    child.join(LIMIT)
    if child.is_alive():
        child.kill()
        child.join()
        pytest.fail("the child hangs")
    assert child.exitcode == 0


def in_a_fork_at_once(job: Callable[[], None]) -> None:
    """The same without any code between the caller and the fork, for states that last a millisecond."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            job()
            os._exit(0)
        finally:
            os._exit(1)
    ended: list[int] = []

    def has_ended() -> bool:
        pid, status = os.waitpid(child, os.WNOHANG)
        ended.extend([status] * (pid == child))
        return bool(ended)

    if not wait_until(has_ended):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert ended == [0]


def test_child_forked_after_a_call_can_register(dps_emulator: Emulator) -> None:
    first, second = (dps_emulator.enroll(name).client_kwargs() for name in ("parent", "child"))
    assert ProvisioningClient(**first).register().hub == "hub-a.test"
    assert asyncio.run(AsyncProvisioningClient(**first).register()).hub == "hub-a.test"

    def job() -> None:
        assert ProvisioningClient(**second).register().hub == "hub-a.test"
        assert asyncio.run(AsyncProvisioningClient(**second).register()).hub == "hub-a.test"

    in_a_fork(job)
    assert ProvisioningClient(**first).register().hub == "hub-a.test"


def test_child_forked_during_a_call_can_register(dps_emulator: Emulator) -> None:
    waiting, second = dps_emulator.enroll("waiting"), dps_emulator.enroll("forked").client_kwargs()
    waiting.inject("delay", ms=1500)

    def job() -> None:
        # The parent's loop still counts as running here; a new thread has no loop.
        import threading

        failures: list[BaseException] = []

        def register() -> None:
            try:
                assert asyncio.run(AsyncProvisioningClient(**second).register()).hub == "hub-a.test"
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=register)
        thread.start()
        thread.join(LIMIT)
        os._exit(0 if not failures and not thread.is_alive() else 1)

    async def main() -> None:
        task = asyncio.ensure_future(AsyncProvisioningClient(**waiting.client_kwargs()).register())
        while waiting.counters.registers == 0:
            await asyncio.sleep(0.005)
        in_a_fork(job)
        assert (await task).hub == "hub-a.test"

    asyncio.run(main())


def test_child_forked_during_derivation_continues_it() -> None:
    expected = list(derive_device_keys(GROUP, IDS))
    keys = iter(derive_device_keys(GROUP, IDS))
    assert list(itertools.islice(keys, UNDER_WAY)) == expected[:UNDER_WAY]

    def go_on() -> None:
        assert list(keys) == expected[UNDER_WAY:]

    def give_up() -> None:
        nonlocal keys
        del keys
        gc.collect()

    in_a_fork_at_once(go_on)
    in_a_fork_at_once(give_up)
    assert list(keys) == expected[UNDER_WAY:]


def test_abandoned_keys_leave_no_thread() -> None:
    start = held()
    keys = iter(derive_device_keys(GROUP, IDS))
    assert len(list(itertools.islice(keys, UNDER_WAY))) == UNDER_WAY
    del keys
    assert gives_back(start), (start, held())


def test_emulator_in_forked_child_raises_error(dps_emulator: Emulator) -> None:
    def job() -> None:
        with pytest.raises(RuntimeError, match="start another one here"):
            dps_emulator.enroll("a")
        with Emulator(assign_at_once=True) as own:
            assert ProvisioningClient(**own.enroll("a").client_kwargs()).register().hub == "hub-a.test"

    in_a_fork(job)


def test_exceptions_can_be_pickled(dps_emulator: Emulator) -> None:
    kwargs = dps_emulator.client_kwargs()
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        failed = pool.submit(register_unknown, dict(kwargs)).exception(timeout=60)
    assert isinstance(failed, ServiceError)
    assert (failed.name, failed.http_status) == ("unauthorized", 401)


def register_unknown(kwargs: dict[str, object]) -> None:
    from dps_client import SymmetricKey

    ProvisioningClient(**kwargs, registration_id="nobody", attestation=SymmetricKey("A" * 43)).register()  # type: ignore[arg-type]


def test_import_loads_no_rarely_used_modules() -> None:
    import subprocess

    code = "import sys, dps_client; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"asyncio", "logging", "json", "dps_client.emulator", "pytest"} & set(ran.stdout.split())
