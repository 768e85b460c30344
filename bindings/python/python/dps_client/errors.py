"""Why there is no assignment, as exceptions: one class a family of the error catalogue.

Numbers and names are the same in Rust and C and never change. No secret is in any of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from errno import ENOENT
from typing import Any, Literal, NamedTuple

__all__ = [
    "ConfigurationError",
    "DpsError",
    "Family",
    "FileError",
    "FileMissingError",
    "Hint",
    "LinkError",
    "LinkTimeoutError",
    "LocalError",
    "LocalTimeoutError",
    "MisuseError",
    "ServiceError",
    "ServiceTimeoutError",
    "Verdict",
]

Family = Literal["misuse", "configuration", "local", "service", "link"]
"""Who has to act: the program, its configuration, this device, the service, or the network in between."""

Verdict = Literal["never", "after", "reconfigure"]
"""Whether trying again makes sense: never, after a time, or once a value has changed."""


class Hint(NamedTuple):
    """A likely cause, and what to do about it."""

    name: str
    """The catalogue's name, such as "clock-behind"."""
    text: str
    """One sentence for people."""


class DpsError(Exception):
    """Why there is no assignment. str() of it is one line that can be acted on; the attributes have the parts."""

    code: int
    """The catalogue's number, such as 4001."""
    name: str
    """The catalogue's name, such as "unauthorized"."""
    family: Family
    """Who has to act."""
    message: str
    """What went wrong, in a sentence; without numbers and hints."""
    verdict: Verdict
    """Whether trying again makes sense."""
    retry_after: timedelta | None
    """How long to wait before trying again, where that makes sense."""
    http_status: int | None
    """The service's HTTP status."""
    error_code: int | None
    """The service's six-digit code."""
    tracking_id: str | None
    """By which the service's support finds the request."""
    timestamp: str | None
    """When the service noted the error, ISO 8601."""
    hints: tuple[Hint, ...]
    """The likely causes, the likeliest first."""
    clock_skew: timedelta | None
    """How far this device's clock is behind (positive) or ahead of (negative) the service's, where far."""
    needed_bytes: int | None
    """The size that would have done, where something was too small."""
    resume_token: str | None
    """What to go on from later, where the service had begun an operation and has not refused it."""

    def __init__(
        self,
        text: str,
        *,
        code: int,
        name: str,
        family: Family,
        message: str | None = None,
        verdict: Verdict = "never",
        retry_after: timedelta | None = None,
        http_status: int | None = None,
        error_code: int | None = None,
        tracking_id: str | None = None,
        timestamp: str | None = None,
        hints: tuple[Hint, ...] = (),
        clock_skew: timedelta | None = None,
        needed_bytes: int | None = None,
        resume_token: str | None = None,
    ) -> None:
        """Made by the package; by hand only to test what handles it."""
        super().__init__(text)
        self.code = code
        self.name = name
        self.family = family
        self.message = text if message is None else message
        self.verdict = verdict
        self.retry_after = retry_after
        self.http_status = http_status
        self.error_code = error_code
        self.tracking_id = tracking_id
        self.timestamp = timestamp
        self.hints = hints
        self.clock_skew = clock_skew
        self.needed_bytes = needed_bytes
        self.resume_token = resume_token

    def __str__(self) -> str:
        """One line that can be acted on."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles with every attribute, so that it crosses processes."""
        return _restore, (type(self), str(self), dict(self.__dict__))


class MisuseError(DpsError):
    """A call out of order: the program has to change."""


class ConfigurationError(DpsError, ValueError):
    """A value that can never work, found before anything is sent: the configuration has to change."""


class LocalError(DpsError):
    """Something on this device: signer, file, buffer, clock."""


class ServiceError(DpsError):
    """The service answered, and said no."""


class LinkError(DpsError):
    """Nothing usable came back: DNS, TCP, TLS, proxy, protocol, time-out."""


class FileError(LocalError, OSError):
    """A file that cannot be read or written; errno has the system's number."""

    def __init__(self, text: str, *, errno: int | None = None, **facts: Any) -> None:
        """Made by the package; by hand only to test what handles it."""
        super().__init__(text, **facts)
        self.errno = errno

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles with the system's number too."""
        return _restore, (type(self), str(self), {**self.__dict__, "errno": self.errno})


class FileMissingError(FileError, FileNotFoundError):
    """A file that does not exist."""


class LocalTimeoutError(LocalError, TimeoutError):
    """A signer or a watcher gave no answer in time."""


class LinkTimeoutError(LinkError, TimeoutError):
    """The service gave no answer in time."""


class ServiceTimeoutError(ServiceError, TimeoutError):
    """The service gave up waiting for the request."""


_CLASSES: dict[Family, type[DpsError]] = {
    "misuse": MisuseError,
    "configuration": ConfigurationError,
    "local": LocalError,
    "service": ServiceError,
    "link": LinkError,
}


# Errors that Python has a class for as well.
_NAMED: dict[str, type[DpsError]] = {
    "signer-timeout": LocalTimeoutError,
    "observer-timeout": LocalTimeoutError,
    "timeout": LinkTimeoutError,
    "request-timeout": ServiceTimeoutError,
}


def from_native(
    text: str,
    *,
    hints: Sequence[tuple[str, str]] = (),
    clock_skew_seconds: int | None = None,
    errno: int | None = None,
    **facts: Any,
) -> DpsError:
    """The exception for what the native half found."""
    skew = None if clock_skew_seconds is None else timedelta(seconds=clock_skew_seconds)
    facts.update(hints=tuple(Hint(*hint) for hint in hints), clock_skew=skew)
    if facts["name"] == "file":
        missing = errno is not None and errno == ENOENT
        return (FileMissingError if missing else FileError)(text, errno=errno, **facts)
    kind = _NAMED.get(facts["name"], _CLASSES[facts["family"]])
    return kind(text, **facts)


def _restore(kind: type[DpsError], text: str, facts: dict[str, Any]) -> DpsError:
    return kind(text, **facts)
