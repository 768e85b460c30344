"""A temporary directory of a process, which is removed even if the process is killed."""

from __future__ import annotations

import atexit
import contextlib
import functools
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Generator

from dps_client.emulator._ports import lock

_PREFIX = "dps-emulator-"
# A directory without a lock has another name, so that no process treats it as abandoned.
_PREFIX_NEW = "dps-new-emulator-"
_LOCK = ".lock"


@contextlib.contextmanager
def own_folder() -> Generator[str]:
    """Creates a directory of this process, which is removed at the end of the block.

    One whose process was killed goes when the next one is made. A forked child leaves its parent's alone.
    """
    _sweep()
    new = tempfile.mkdtemp(prefix=_PREFIX_NEW)
    with _locked(new):
        folder = new.replace(_PREFIX_NEW, _PREFIX)
        os.rename(new, folder)
        remove = functools.partial(_remove, folder, os.getpid())
        atexit.register(remove)
        try:
            yield folder
        finally:
            remove()
            atexit.unregister(remove)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: str) -> Generator[bool]:
    """Tries to lock a directory; the lock ends with the process."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(os.path.join(folder, _LOCK), flags, 0o600), "r+") as file:
        yield lock(file)


def _sweep() -> None:
    """Removes the directories of processes that have ended, where locks are supported."""
    if sys.platform == "win32":
        return
    for folder in glob.glob(os.path.join(glob.escape(tempfile.gettempdir()), f"{_PREFIX}*")):
        # Directories of other users, and those that are being removed, are skipped.
        with contextlib.suppress(OSError):
            if os.path.isfile(os.path.join(folder, _LOCK)) and not os.path.islink(folder):
                with _locked(folder) as unused:
                    if unused:
                        shutil.rmtree(folder)
