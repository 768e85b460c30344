"""Derives the keys of a million devices in every way, beside loops over hmac and base64, in one run.

derive.py [COUNT]: the first loop calls a helper of two lines for each device, as programs do that derive keys in
Python.
"""

import argparse
import base64
import collections
import hashlib
import hmac
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import nanoarrow
from dps_client import derive_device_key, derive_device_keys

GROUP = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
ROUNDS = 5
HELPER_LOOP = "hmac.new and base64, a helper in a loop"
QUICKEST_LOOP = "hmac.digest and base64, key decoded once"
LIST_TO_LIST = "derive_device_keys, a list to a list"


def ids(count: int) -> Iterator[str]:
    """Returns registration ids, as from a file or a database."""
    return (f"sn-007-888-abc-{number:08}" for number in range(count))


def idiomatic(given: list[str]) -> str:
    """The usual loop: a helper with the group key in base64 and a device's id as arguments."""

    def derive(group: str, device: str) -> str:
        made = hmac.new(base64.b64decode(group), device.encode(), hashlib.sha256)
        return base64.b64encode(made.digest()).decode()

    keys = [derive(GROUP, device) for device in given]
    return keys[-1]


def tuned(given: list[str]) -> str:
    """The fastest such loop: the key decoded once, HMAC in one call, no helper."""
    key = base64.b64decode(GROUP)
    keys = [base64.b64encode(hmac.digest(key, device.encode(), hashlib.sha256)).decode() for device in given]
    return keys[-1]


def one_by_one(given: list[str]) -> str:
    """One call per device."""
    keys = [derive_device_key(GROUP, device) for device in given]
    return keys[-1]


def list_in_list_out(given: list[str]) -> str:
    """From a list of str to a list of str."""
    return list(derive_device_keys(GROUP, given))[-1]


def generator_in_nothing_kept(given: list[str]) -> str:
    """From a generator, every key read and dropped, as when writing them to a file."""
    keys = collections.deque(derive_device_keys(GROUP, ids(len(given))), maxlen=1)
    return keys.pop()


def column_in_column_out(column: Any) -> str:
    """From an Arrow column to an Arrow column."""
    last = ""
    for chunk in nanoarrow.ArrayStream(derive_device_keys(GROUP, column)).iter_chunks():
        last = chunk[-1].as_py()
    return last


def seconds(work: Callable[[], str], expected: str) -> float:
    """Returns the best time of a few rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        last = work()
        best = min(best, time.perf_counter() - start)
        if last != expected:
            raise SystemExit(f"it derived {last} where {expected} is right")
    return best


def peak_mib() -> float:
    """Returns the peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Prints the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("count", nargs="?", type=int, default=1_000_000)
    options = arguments.parse_args()
    count: int = options.count

    before = peak_mib()
    last = collections.deque(derive_device_keys(GROUP, ids(count)), maxlen=1).pop()
    grown = peak_mib() - before

    given = list(ids(count))
    column = nanoarrow.c_array(given, nanoarrow.string())
    rows: list[tuple[str, Callable[[], str]]] = [
        (HELPER_LOOP, lambda: idiomatic(given)),
        (QUICKEST_LOOP, lambda: tuned(given)),
        ("derive_device_key, a loop over str", lambda: one_by_one(given)),
        ("derive_device_keys, a generator of str", lambda: generator_in_nothing_kept(given)),
        (LIST_TO_LIST, lambda: list_in_list_out(given)),
        ("derive_device_keys, a column to a column", lambda: column_in_column_out(column)),
    ]
    took = {name: seconds(work, last) for name, work in rows}
    helper, quickest = took[HELPER_LOOP], took[QUICKEST_LOOP]
    print(f"{count:,} device keys, the best of {ROUNDS} rounds; how often the first and the second fit in")
    for name, best in took.items():
        times = f"{helper / best:>6.1f}x {quickest / best:>6.1f}x"
        print(f"{name:<42} {best:>7.3f} s {best / count * 1e9:>7.0f} ns each {times}")
    print(f"memory that streaming from a generator adds: {grown:.1f} MiB")


if __name__ == "__main__":
    main()
