"""Counts the threads and files of this process, and waits for conditions, with a limit."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

LIMIT = 20.0
"""Much longer than anything here takes, also on a busy computer."""


@dataclass(frozen=True)
class Held:
    descriptors: int
    threads: int


def held() -> Held:
    return Held(len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))


def wait_until(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + LIMIT
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def gives_back(start: Held) -> bool:
    """Returns whether the process has no more than at the start, after waiting for what closes in the background."""

    def back() -> bool:
        now = held()
        return now.descriptors <= start.descriptors and now.threads <= start.threads

    return wait_until(back)
