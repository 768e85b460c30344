"""The native half of the package. What users need of it stands in `dps_client` itself."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from os import PathLike
from typing import Any, Literal, Protocol, final, type_check_only

from typing_extensions import Self, disjoint_base

__all__ = [
    "Assignment",
    "Client",
    "DeviceKeys",
    "Emulator",
    "GroupKey",
    "HubCredentials",
    "HubPassword",
    "Progress",
    "RegistrationRecord",
    "Secret",
    "Signer",
    "SymmetricKey",
    "__version__",
    "derive_device_key",
    "derive_device_keys",
    "error_catalogue",
    "fault_kinds",
    "hint_catalogue",
    "sas_token",
]

@type_check_only
class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

@type_check_only
class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

__version__: str

@final
class Secret:
    """A secret in text form, such as a key, a connection string or a token.

    It shows itself nowhere: not in repr, not in a traceback with local variables, not in a pickle. Only expose() gives
    the text.
    """

    def __new__(cls, text: str) -> Self: ...
    def expose(self) -> str:
        """The text. Named so that every use can be found."""

@final
class SymmetricKey:
    """A device's own key: an individual enrollment's, or one derived from a group's. Base64 of 16 to 64 bytes.

    >>> SymmetricKey("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")
    SymmetricKey(32 bytes)
    """

    def __new__(cls, key: str | Secret) -> Self: ...
    @staticmethod
    def from_bytes(raw: bytes) -> SymmetricKey:
        """Takes 16 to 64 raw bytes, as IoT Edge keeps keys in files."""

    @staticmethod
    def from_file(path: str | PathLike[str]) -> SymmetricKey:
        """Reads a file of base64 text; a line break after it does no harm."""

    def sign(self, message: bytes) -> bytes:
        """HMAC-SHA256 of a message under this key, 32 bytes: what a Signer returns."""

    def to_base64(self) -> Secret:
        """The key as base64."""

@final
class GroupKey:
    """An enrollment group's key, which makes every device key of the group. Base64 of 16 to 64 bytes.

    For factories and tests. On a device it lets whoever takes that device apart be every device of the group: derive
    the device's key elsewhere and give the device only that.
    """

    def __new__(cls, key: str | Secret) -> Self: ...
    @staticmethod
    def from_bytes(raw: bytes) -> GroupKey:
        """Takes 16 to 64 raw bytes."""

    @staticmethod
    def from_file(path: str | PathLike[str]) -> GroupKey:
        """Reads a file of base64 text; a line break after it does no harm."""

    def derive(self, registration_id: str) -> SymmetricKey:
        """The key of one device of the group. The registration id is used exactly as it is spelled."""

@final
class Signer:
    """A callable that holds the device's key, or knows who does: a token, a secure element, a service that signs.

    It is given the bytes to sign and returns their HMAC-SHA256, 32 bytes, or is a coroutine function that does. It is
    called on another thread than the caller's, and must not take longer than request_timeout. What it raises is the
    __cause__ of the exception that ends the registration.
    """

    def __new__(cls, sign: Callable[[bytes], bytes | Awaitable[bytes]]) -> Self: ...

@final
class Progress:
    """What a registration is about to do."""

    @property
    def step(self) -> Literal["signing", "sending", "waiting"]:
        """ "signing", "sending" or "waiting"."""

    @property
    def call(self) -> Literal["register", "status", "lookup"] | None:
        """What is sent: "register", "status" or "lookup"; None in other steps."""

    @property
    def wait(self) -> timedelta | None:
        """How long nothing happens; None in other steps."""

    @property
    def resume_token(self) -> str | None:
        """While waiting: what to store so that a restarted device resumes instead of registering again, once there is
        something. It holds no secret.
        """

@final
class Assignment:
    """The hub that the device belongs to, and its name there."""

    @property
    def hub(self) -> str:
        """The hub's host name."""

    @property
    def device_id(self) -> str:
        """The device id at the hub; case-sensitive there."""

    @property
    def registration_id(self) -> str:
        """The registration id, as the client was given it."""

    @property
    def status(self) -> str:
        """The service's word for how far the registration is: "assigned"."""

    @property
    def substatus(self) -> str | None:
        """How the assignment came about, such as "initialAssignment". An open list; only to inform."""

    @property
    def operation_id(self) -> str | None:
        """The operation that made it; None when the service assigned at once."""

    @property
    def payload(self) -> dict[str, Any] | None:
        """What the service's allocation webhook gave the device: a dict, or None. Made anew at each access."""

    @property
    def elapsed(self) -> timedelta:
        """How long the registration took."""

    def connection_string(self) -> Secret | None:
        """ "HostName=...;DeviceId=...;SharedAccessKey=..."; None when a Signer holds the key.

        Raises ConfigurationError when the device id contains ";", which a connection string cannot hold.
        """

    def hub_credentials(self, *, password_life: float | timedelta | None = None) -> HubCredentials:
        """What the device signs in to its hub with: client id, user name, and a password that renews itself.

        password_life is in seconds or a timedelta; an hour by default.
        """

@final
class RegistrationRecord:
    """What the service has on record for a registration id."""

    @property
    def status(self) -> str:
        """How far the registration is: "unassigned", "assigning", "assigned", "failed" or "disabled"."""

    @property
    def hub(self) -> str | None:
        """The hub's host name, when assigned."""

    @property
    def device_id(self) -> str | None:
        """The device id at the hub, when assigned."""

    @property
    def substatus(self) -> str | None:
        """How the assignment came about. An open list; only to inform."""

    @property
    def error_code(self) -> int | None:
        """The service's six-digit code, when failed."""

    @property
    def message(self) -> str | None:
        """The service's words, when failed."""

    @property
    def payload(self) -> dict[str, Any] | None:
        """What the service's allocation webhook gave the device: a dict, or None. Made anew at each access."""

@final
class HubCredentials:
    """MQTT client id, user name and password of the device at its hub."""

    @property
    def hub(self) -> str:
        """The hub's host name."""

    @property
    def client_id(self) -> str:
        """The MQTT client id: the device id."""

    @property
    def user_name(self) -> str:
        """The MQTT user name."""

    def password(self) -> HubPassword:
        """The MQTT password, or over HTTPS the Authorization header. Signed anew late in its life."""

    def password_async(self) -> Awaitable[HubPassword]:
        """The same, to be awaited: a Signer that is a coroutine then runs in the loop that awaits it."""

@final
class HubPassword:
    """A SAS token for the hub, and when it ends."""

    @property
    def expires_at(self) -> datetime:
        """When the hub stops taking it, in UTC; reconnect with a new one before."""

    def expose(self) -> str:
        """The token's text. Named so that every use can be found."""

@final
class DeviceKeys:
    """Device keys that are derived as they are asked for: an iterable of str, or an Arrow stream of strings.

    They can be taken again where the ids can: from a list or a column, not from a generator. len() is that of the ids.
    """

    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The keys as Arrow's C stream of strings: for pyarrow.chunked_array(keys), polars.Series(keys) and so on."""

@disjoint_base
class Client:
    """What ProvisioningClient and AsyncProvisioningClient share: their options.

    Every value is checked here, and key files and certificates are read; nothing is sent. Times are in seconds, or a
    timedelta.

    id_scope: the id scope of the service, such as 0ne00A1B2C3.
    registration_id: 1 to 128 letters, digits and - . _ : in one spelling everywhere.
    attestation: a SymmetricKey, a GroupKey or a Signer.
    transport: "https" (port 443), "mqtt" (port 8883) or "mqtt-ws" (MQTT over WebSocket, port 443). Default: "https".
    endpoint: HOST, HOST:PORT or https://HOST. Default: the global endpoint.
    ca_file, ca_pem: the authorities to trust instead of the platform's, as a PEM file or its text.
    keep_platform_roots: trust the platform's authorities as well.
    proxy: its URL, or False for none. Default: the environment's (HTTPS_PROXY, unless NO_PROXY names the host).
    timeout: for the whole registration. request_timeout: for one request or signature.
    poll_interval: between polls when the service gives no hint. minimum_spacing: at least, 1 s unless given.
    token_life: of tokens for the service. Default: an hour, or more where timeout needs it.
    correct_clock: sign once more with the service's time when this device's clock is far off. Over MQTT, which carries
    no time, the service's host is asked for it by one HTTPS request without a credential.
    clock: another clock than the system's, by which tokens are made and the server's certificate is checked: a callable
    that returns seconds since 1970 or a datetime, or None where the time is not known. It must not block.
    service_time_port: over MQTT, the port of that request. Default: 443.
    keep_alive: of MQTT, in whole seconds. pipelined: over MQTT, everything in one flight; two round trips fewer.
    payload: a dict for the service's allocation webhook.
    reply_limit: the largest reply that is taken, in bytes. Default: 96 KiB, the service's own limit.
    seed: of the jitter, for flows that can be repeated. Default: random.
    api_version, user_agent: what the service is told.
    on_progress: called with a Progress before each step, and awaited where it is a coroutine function; the step begins
    once it returns. What it raises ends the registration, and nothing more is sent.
    """

    def __new__(
        cls,
        *,
        id_scope: str,
        registration_id: str,
        attestation: SymmetricKey | GroupKey | Signer,
        transport: Literal["https", "mqtt", "mqtt-ws"] | None = None,
        endpoint: str | None = None,
        ca_file: str | PathLike[str] | None = None,
        ca_pem: str | bytes | None = None,
        keep_platform_roots: bool | None = None,
        proxy: str | Literal[False] | None = None,
        timeout: float | timedelta | None = None,
        request_timeout: float | timedelta | None = None,
        poll_interval: float | timedelta | None = None,
        minimum_spacing: float | timedelta | None = None,
        token_life: float | timedelta | None = None,
        correct_clock: bool | None = None,
        keep_alive: float | timedelta | None = None,
        pipelined: bool | None = None,
        payload: Mapping[str, Any] | None = None,
        reply_limit: int | None = None,
        seed: int | None = None,
        api_version: str | None = None,
        user_agent: str | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        service_time_port: int | None = None,
        clock: Callable[[], float | datetime | None] | None = None,
    ) -> Self: ...
    @property
    def registration_id(self) -> str:
        """The registration id."""

    def _register(self) -> Assignment: ...
    def _register_async(self) -> Awaitable[Assignment]: ...
    def _resume(self, resume_token: str) -> Assignment: ...
    def _resume_async(self, resume_token: str) -> Awaitable[Assignment]: ...
    def _lookup(self) -> RegistrationRecord: ...
    def _lookup_async(self) -> Awaitable[RegistrationRecord]: ...

@final
class Emulator:
    """A local provisioning service that verifies. dps_client.emulator.Emulator is its face."""

    def __new__(
        cls,
        *,
        listen: str,
        host_name: str | None,
        https_port: int,
        mqtt_port: int,
        wss_port: int,
        id_scope: str | None,
        hubs: list[tuple[str, int]],
        retry_after: int | dict[Literal["dateOffset"], int] | None,
        assigning: float | timedelta,
        assign_at_once: bool,
        rate_limits: bool,
        echo_payload: bool,
        derive_as_sent: bool,
        strict_at_connect: bool,
        check_expiry_on_poll: bool,
        clock_offset_ms: int,
        seed: int | None,
        state_dir: str | PathLike[str] | None,
    ) -> Self: ...
    def stop(self) -> None:
        """Ends it and waits until its threads and descriptors are given back, two seconds at most."""

    def ports(self) -> tuple[int, int, int]:
        """The ports: HTTPS, MQTT, MQTT over WebSocket."""

    def ca_pem(self) -> str:
        """The certificate that clients have to trust."""

    def id_scope(self) -> str:
        """The id scope."""

    def connection_string(self) -> Secret:
        """What a service client connects with."""

    def set_clock_offset_ms(self, offset_ms: int) -> None:
        """Sets the service's wall clock apart from the machine's."""

    def put_enrollment(self, json: str) -> tuple[Secret, Secret]:
        """Creates or replaces an individual enrollment, in the service's own JSON; gives its two keys."""

    def put_group(self, json: str) -> tuple[Secret, Secret]:
        """Creates or replaces an enrollment group, in the service's own JSON; gives its two keys."""

    def enable_enrollment(self, registration_id: str, enabled: bool) -> None:
        """Lets the device of an individual enrollment in, or not."""

    def enable_group(self, group_id: str, enabled: bool) -> None:
        """Lets the devices of a group in, or not."""

    def delete_enrollment(self, registration_id: str) -> bool:
        """Deletes an individual enrollment and its record; whether there was one."""

    def delete_group(self, group_id: str) -> bool:
        """Deletes a group and the records of its devices; whether there was one."""

    def delete_record(self, registration_id: str) -> bool:
        """Forgets a device's registration; whether there was one."""

    def link_hub(self, host: str, weight: int) -> None:
        """Links a hub, or changes its weight."""

    def unlink_hub(self, host: str) -> bool:
        """Unlinks a hub; whether it was linked."""

    def plan_fault(self, json: str) -> None:
        """Plans a fault, in the emulator's own JSON."""

    def can_let_in(self, registration_id: str) -> bool:
        """Whether there can be a device of this id: enrolled by itself, or in a group, which knows no ids before."""

    def planned_faults(self) -> str:
        """What is planned, oldest first, as JSON."""

    def clear_faults(self, registration_id: str | None) -> int:
        """Takes back the faults of one registration, or all of them; how many plans there were."""

    def counters(self, registration_id: str | None) -> str:
        """How often one registration called, or all together, as JSON."""

    def reset_counters(self) -> None:
        """Counts from zero again."""

    def refusals(self) -> str:
        """The latest credentials that were refused, oldest first, as JSON."""

    def record(self, registration_id: str) -> str | None:
        """What is known of a device's registration, as JSON; None when nothing is."""

    def hub_device(self, hub: str, device_id: str) -> str | None:
        """A device's entry in a hub, as JSON; None when there is none."""

    def hub_accepts(self, hub: str, device_id: str, token: str) -> bool:
        """Whether the hub would let the device in with this SAS token."""

def derive_device_key(group_key: str | Secret | GroupKey, registration_id: str) -> str:
    """The key of one device of an enrollment group, as base64: what is written into the device.

    group_key is a GroupKey, or its base64. The registration id is used exactly as it is spelled.

    >>> group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
    >>> derive_device_key(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
    'Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc='
    """

def derive_device_keys(
    group_key: str | Secret | GroupKey, ids: Iterable[str] | _ArrowArray | _ArrowStream
) -> DeviceKeys:
    """The keys of many devices of an enrollment group, in the order of their registration ids.

    ids is any iterable of str, or one column of strings that offers Arrow's C data interface (of PyArrow, Polars,
    pandas and others). A generator is drawn from in batches of up to 16384, so memory stays flat; a list or a tuple is
    read one batch ahead, and is not to be changed meanwhile. An id that breaks the service's rule raises
    ConfigurationError when its turn comes, after the keys of those before it; as an Arrow stream, before the first key.

    >>> group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
    >>> dict(zip(["a"], derive_device_keys(group, ["a"])))
    {'a': '4P6texRNmlQlty3YJONhNt851obWzIP6iFpYQaTHZfc='}
    """

def sas_token(
    key: str | Secret,
    *,
    id_scope: str | None = None,
    registration_id: str | None = None,
    hub: str | None = None,
    device_id: str | None = None,
    service: str | None = None,
    policy: str | None = None,
    expires_at: int | datetime | None = None,
    life: float | timedelta | None = None,
) -> str:
    """The text of a SAS token, which lets its bearer in until it expires.

    It is for a device's registration (id_scope and registration_id, under the device's key), for a device at its hub
    (hub and device_id, under the device's key), or for the service's admin API (service and policy, under the policy's
    key). It ends at expires_at, Unix seconds or a datetime with a time zone, or else a life from now:
    seconds or a timedelta, an hour by default.

    >>> key = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
    >>> sas_token(key, hub="hub-a.test", device_id="dev-01", expires_at=1767225600).split("&")[0]
    'SharedAccessSignature sr=hub-a.test%2Fdevices%2Fdev-01'
    """

def error_catalogue() -> list[tuple[int, str, str, str]]:
    """Every error of the catalogue: number, name, family and text."""

def hint_catalogue() -> list[tuple[str, str]]:
    """Every hint of the catalogue: name and text."""

def fault_kinds() -> list[tuple[str, str]]:
    """Every kind of fault that the emulator knows: name and what it does."""
