"""The ports that published clients require; only one process at a time can use them on an address."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from typing import IO

HTTPS_PORT = 443
MQTT_PORT = 8883
_ADDRESSES = 32


class PortsUnavailable(OSError):
    """The ports 443 and 8883 are not available; the message says why, and what to do."""


def addresses() -> Iterator[str]:
    """Returns the loopback addresses to try: on Linux in 127.0.0.0/8, elsewhere a single address."""
    yield "127.0.0.1"
    if sys.platform == "linux":
        for last in range(2, _ADDRESSES + 1):
            yield f"127.0.0.{last}"


@contextlib.contextmanager
def locked(address: str) -> Generator[bool]:
    """Tries to lock the ports of an address for this process; yields whether it succeeded."""
    user = os.getuid() if hasattr(os, "getuid") else "all"
    path = os.path.join(tempfile.gettempdir(), f"dps-emulator-{user}-{address}.lock")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o600), "r+") as file:
        yield lock(file)


if sys.platform == "win32":

    def lock(file: IO[str]) -> bool:
        """Not needed here: binding the ports is a lock, and there is nothing to clean up."""
        return True

else:

    def lock(file: IO[str]) -> bool:
        """Locks a file unless another process has locked it; the lock ends with the process."""
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
