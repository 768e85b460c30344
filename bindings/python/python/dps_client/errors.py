"""The exceptions of the package: one class per family of the error catalogue.

Numbers and names are the same in Rust and C and never change. Exceptions contain no secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    "RefusedCredential",
    "ServiceError",
    "ServiceTimeoutError",
    "Verdict",
]

Family = Literal["misuse", "configuration", "local", "service", "link"]
"""Where the cause is: the program, its configuration, this device, the service, or the network."""

Verdict = Literal["never", "after", "reconfigure"]
"""Whether to retry: never, after a time, or once a value has changed."""


class Hint(NamedTuple):
    """A likely cause, and what to do about it."""

    name: str
    """The catalogue's name, such as "clock-behind"."""
    text: str
    """One sentence for people."""


@dataclass(frozen=True)
class RefusedCredential:
    """Why the service refused one of a client's credentials."""

    index: int
    """Which credential: 0 for the client's attestation, 1 and more for its fallback."""
    kind: str
    """What kind of credential it is, such as "symmetricKey" or "x509"."""
    name: str
    """The catalogue's name: "unauthorized" or "client-certificate-refused"."""
    http_status: int | None
    """The service's HTTP status."""
    error_code: int | None
    """The service's six-digit code."""
    tracking_id: str | None
    """The service's tracking id, by which Azure's support finds the request."""
    message: str
    """The problem in one sentence."""


class DpsError(Exception):
    """The error of a call. str() returns one line with the problem and the likely cause; attributes have the facts."""

    code: int
    """The catalogue's number, such as 4001."""
    name: str
    """The catalogue's name, such as "unauthorized"."""
    family: Family
    """Where the cause is."""
    message: str
    """The problem in one sentence, without numbers and hints."""
    verdict: Verdict
    """Whether to retry."""
    retry_after: timedelta | None
    """How long to wait before a retry; None if a retry makes no sense."""
    http_status: int | None
    """The service's HTTP status."""
    error_code: int | None
    """The service's six-digit code."""
    tracking_id: str | None
    """The service's tracking id, by which Azure's support finds the request."""
    timestamp: str | None
    """The service's timestamp of the error, in ISO 8601."""
    hints: tuple[Hint, ...]
    """The likely causes, most likely first."""
    clock_skew: timedelta | None
    """How far the device's clock is behind (positive) or ahead of (negative) the service's; None if about right."""
    needed_bytes: int | None
    """The required size, if something was too small."""
    resume_token: str | None
    """The token to resume the operation later, if the service started one and did not refuse it."""
    refused_credentials: tuple[RefusedCredential, ...]
    """Why credentials were refused, in the order in which they were tried, for a client with fallback."""

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
        refused_credentials: tuple[RefusedCredential, ...] = (),
    ) -> None:
        """Exceptions are created by the package; create one only to test error handling."""
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
        self.refused_credentials = refused_credentials

    def __str__(self) -> str:
        """Returns one line with the problem and the most likely cause."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles every attribute, so that the exception can be sent to other processes."""
        return _restore, (type(self), str(self), dict(self.__dict__))


class MisuseError(DpsError):
    """A call in the wrong order: the program must be changed."""


class ConfigurationError(DpsError, ValueError):
    """An invalid value, found before anything is sent: the configuration must be changed."""


class LocalError(DpsError):
    """A problem on this device: signer, file, buffer, clock."""


class ServiceError(DpsError):
    """The service refused the request."""


class LinkError(DpsError):
    """No valid reply arrived: DNS, TCP, TLS, proxy, protocol or timeout."""


class FileError(LocalError, OSError):
    """A file cannot be read or written; errno has the number of the system's error."""

    def __init__(self, text: str, *, errno: int | None = None, **facts: Any) -> None:
        """Exceptions are created by the package; create one only to test error handling."""
        super().__init__(text, **facts)
        self.errno = errno

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles errno too."""
        return _restore, (type(self), str(self), {**self.__dict__, "errno": self.errno})


class FileMissingError(FileError, FileNotFoundError):
    """A file that does not exist."""


class LocalTimeoutError(LocalError, TimeoutError):
    """A signer or `on_progress` did not return in time."""


class LinkTimeoutError(LinkError, TimeoutError):
    """The service did not answer in time."""


class ServiceTimeoutError(ServiceError, TimeoutError):
    """The service did not receive the whole request in time."""


_CLASSES: dict[Family, type[DpsError]] = {
    "misuse": MisuseError,
    "configuration": ConfigurationError,
    "local": LocalError,
    "service": ServiceError,
    "link": LinkError,
}


# Errors that are also a class of Python's own errors.
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
    refused_credentials: Sequence[dict[str, Any]] = (),
    **facts: Any,
) -> DpsError:
    """Returns the exception for an error of the native part."""
    skew = None if clock_skew_seconds is None else timedelta(seconds=clock_skew_seconds)
    refused = tuple(RefusedCredential(**refused) for refused in refused_credentials)
    facts.update(hints=tuple(Hint(*hint) for hint in hints), clock_skew=skew, refused_credentials=refused)
    if facts["name"] == "file":
        missing = errno is not None and errno == ENOENT
        return (FileMissingError if missing else FileError)(text, errno=errno, **facts)
    kind = _NAMED.get(facts["name"], _CLASSES[facts["family"]])
    return kind(text, **facts)


def _restore(kind: type[DpsError], text: str, facts: dict[str, Any]) -> DpsError:
    return kind(text, **facts)
