"""Runs many short programs that register and exit, and checks the exit code of each.

exits.py [COUNT]: prints what ended otherwise, and fails then. A thread that is still inside Python when the interpreter
ends makes the process abort; each ending below is a way to leave while one might be.
"""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
from dataclasses import dataclass
from itertools import cycle, islice

from dps_client.emulator import Emulator

LIMIT = 120.0
"""Much longer than one process takes, also on a busy computer."""
AT_ONCE = 4

_BEGIN = """
import asyncio, logging, sys, threading
from dps_client import AsyncProvisioningClient, ProvisioningClient, Signer, SymmetricKey
id_scope, endpoint, ca_file, registration_id, transport = sys.argv[1:]
kwargs = dict(
    id_scope=id_scope, endpoint=endpoint, ca_file=ca_file, proxy=False, registration_id=registration_id,
    attestation=SymmetricKey(sys.stdin.readline()), transport=transport,
)
def busy():
    while True:
        pass
def client(**more):
    return AsyncProvisioningClient(**{**kwargs, **more})
"""


@dataclass(frozen=True)
class Ending:
    """A way to exit, and its exit code."""

    name: str
    code: str
    exit_code: int = 0


ENDINGS = [
    Ending("success", "asyncio.run(client().register())"),
    Ending(
        "success beside a busy thread",
        "threading.Thread(target=busy, daemon=True).start()\nasyncio.run(client().register())",
    ),
    Ending(
        "success with every record logged",
        "logging.basicConfig(level=1, stream=open('/dev/null', 'w'))\nasyncio.run(client().register())",
    ),
    Ending(
        "success of many",
        "async def main():\n    await asyncio.gather(*(client().register() for _ in range(8)))\nasyncio.run(main())",
    ),
    Ending("a blocking call", "ProvisioningClient(**kwargs).register()"),
    Ending(
        "a watcher",
        "async def watch(progress):\n    await asyncio.sleep(0)\nasyncio.run(client(on_progress=watch).register())",
    ),
    Ending("sys.exit", "async def main():\n    await client().register()\n    sys.exit(7)\nasyncio.run(main())", 7),
    Ending("an exception", "async def main():\n    await client().register()\n    1 / 0\nasyncio.run(main())", 1),
    Ending(
        "a cancelled task",
        "async def main():\n"
        "    told = asyncio.Event()\n"
        "    task = asyncio.ensure_future(client(on_progress=lambda _: told.set()).register())\n"
        "    await told.wait()\n"
        "    task.cancel()\n"
        "asyncio.run(main())",
    ),
    Ending(
        "a task that nobody waits for",
        "loop = asyncio.new_event_loop()\n"
        "task = loop.create_task(client().register())\n"
        "loop.run_until_complete(asyncio.sleep(0.02))\n"
        "sys.stderr = None",
    ),
    Ending(
        "a signer that never comes back",
        "import time\n"
        "asked = threading.Event()\n"
        "def sign(to_sign):\n"
        "    asked.set()\n"
        "    while True:\n"
        "        time.sleep(0.0001)\n"
        "async def main():\n"
        "    task = asyncio.ensure_future(client(attestation=Signer(sign)).register())\n"
        "    await asyncio.to_thread(asked.wait)\n"
        "    task.cancel()\n"
        "asyncio.run(main())",
    ),
    Ending(
        "a loop in a thread that is not joined",
        "threading.Thread(target=lambda: asyncio.run(client(on_progress=lambda _: told.set()).register()),"
        " daemon=True).start()\n"
        "told.wait()",
    ),
]


def run(ending: Ending, emulator: Emulator, number: int) -> str | None:
    """Runs one process and returns the problem, if there is one."""
    transport = ("https", "mqtt")[number % 2]
    port = emulator.https_port if transport == "https" else emulator.mqtt_port
    device = emulator.enroll(f"dev-{number}")
    arguments = [emulator.id_scope, f"{emulator.host}:{port}", emulator.ca_file, device.registration_id]
    arguments.append(transport)
    code = f"{_BEGIN}told = threading.Event()\n{ending.code}\n"
    command = [sys.executable, "-c", code, *arguments]
    key = device.key.expose()
    ended = subprocess.run(command, input=key, capture_output=True, text=True, timeout=LIMIT, check=False)
    if ended.returncode == ending.exit_code:
        return None
    said = ended.stderr.strip().splitlines()
    return f"{ending.name} over {transport}: exit code {ended.returncode}: {said[-1] if said else ''}"


def run_many(count: int) -> list[str]:
    """Runs a number of processes, which exit in every way by turns, and returns the problems."""
    endings = list(islice(cycle(ENDINGS), count))
    with (
        Emulator(rate_limits=False, retry_after=0, assigning=0) as emulator,
        concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        problems = pool.map(run, endings, [emulator] * count, range(count))
        return [problem for problem in problems if problem is not None]


def main() -> int:
    """Prints the processes with a wrong exit code, and the number of those with the right one."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    problems = run_many(count)
    print(*problems, sep="\n", end="\n" if problems else "")
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"CPython {version}: {count - len(problems)} of {count} processes ended with the right exit code")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
