"""A device, an individual enrollment and an enrollment group of the emulator."""

from __future__ import annotations

import contextlib
import enum
import json
from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Literal, TypedDict, get_args

from dps_client import _native
from dps_client._native import X509, DeviceCertificate, GroupKey, Pkcs11Key, Secret, Signer, SymmetricKey, Tpm
from dps_client.emulator._events import Event, EventConditions, events, wait_for
from dps_client.emulator._findings import (
    Counters,
    HubDevice,
    PlannedFault,
    Record,
    Refusal,
    finding,
    findings,
    planned_faults,
    unmet,
)
from dps_client.emulator._typing import Unpack

Transport = Literal["https", "mqtt", "mqtt-ws"]
"""The transport of a device."""

FaultPlace = Literal["register", "poll", "lookup", "connect", "subscribe", "handshake", "renew", "issue", "any"]
"""The requests that meet a fault; "any" is any of the first three, "handshake" is that of TLS, "renew" a certificate
request to a hub, "issue" its last answer."""

FaultKind = Literal[
    "throttle",
    "server-error",
    "drop-before",
    "drop-after",
    "delay",
    "garbage",
    "noise",
    "slow-bytes",
    "wrong-request-id",
    "missing-request-id",
    "forget-operation",
    "oversize-reply",
    "patch-reply",
    "silent",
    "refuse-connect",
    "refuse-subscribe",
    "no-ping",
    "no-certificate-request",
    "refuse-certificate",
    "replayed-challenge",
    "foreign-challenge",
    "duplicate-reply",
    "foreign-certificate",
    "flood",
]
"""The kind of a fault."""

Flood = Literal[
    "pingresp",
    "puback",
    "publish",
    "ping-frames",
    "interim-responses",
    "header-lines",
    "chunks",
]
"""What a flood contains: the first three over MQTT, ping-frames over MQTT in WebSocket, the others over HTTPS."""

RetryAfter = int | Mapping[Literal["dateOffset"], int]
"""A Retry-After hint: seconds, or {"dateOffset": seconds} for a date at that offset from the service's clock."""


class FaultDetails(TypedDict, total=False):
    """The details of a fault. Members other than at and times apply only to some kinds."""

    at: FaultPlace
    """The requests that meet it; by default any of register, poll and lookup."""
    times: int
    """How many requests meet it; 1 by default."""
    retry_after: RetryAfter
    """Of "throttle" and "server-error": the hint."""
    status: int
    """Of "server-error": 400 to 599."""
    ms: int
    """Of "delay": milliseconds."""
    size: int
    """Of "oversize-reply": the size of the body in bytes."""
    patch: Mapping[str, object]
    """Of "patch-reply": a JSON merge patch (RFC 7396) for the body of the reply; None removes a member."""
    code: int
    """Of "refuse-connect": the CONNACK code, 1 to 5."""
    of: Flood
    """Of "flood": what is sent endlessly."""
    answered: bool
    """Of "flood" over MQTT: whether it starts after the answer, while the device waits; False by default."""


# Arguments that have another name in the JSON of the service or the emulator.
_MEMBERS = {
    "device_id": "deviceId",
    "endorsement_key": "attestation.tpm.endorsementKey",
    "group_id": "enrollmentGroupId",
    "hubs": "iotHubs",
    "key": "primaryKey",
    "registration_id": "registrationId",
    "retry_after": "retryAfter",
    "secondary_key": "secondaryKey",
    "size": "bytes",
}
# The same for members of both kinds of enrollments.
_CERTIFICATE_MEMBERS = {"certificate": "primary", "secondary_certificate": "secondary"}


@contextlib.contextmanager
def named_arguments() -> Generator[None]:
    """Replaces the names of JSON members in errors by the names of the caller's arguments."""
    try:
        yield
    except (TypeError, ValueError) as error:
        text = str(error)
        for argument, member in _MEMBERS.items():
            text = text.replace(f"'{member}'", f"'{argument}'")
        for argument, member in _CERTIFICATE_MEMBERS.items():
            for kind in ("clientCertificates", "signingCertificates"):
                text = text.replace(f"'{kind}.{member}'", f"'{argument}'")
        raise type(error)(text) from None


def check_text(name: str, value: object) -> None:
    """Raises TypeError if a value is not a str."""
    if not isinstance(value, str):
        raise TypeError(f"argument '{name}': must be a str, not {type(value).__name__}")


class ServiceKwargs(TypedDict):
    """Keyword arguments of this package's client that describe the service."""

    id_scope: str
    endpoint: str
    transport: Transport
    ca_pem: str
    proxy: Literal[False]


class ClientKwargs(ServiceKwargs):
    """The same, including those of a device."""

    registration_id: str
    attestation: SymmetricKey | GroupKey | Signer | X509 | Pkcs11Key | Tpm


class AzureServiceKwargs(TypedDict):
    """Keyword arguments of the published Python client (azure-iot-device) that describe the service."""

    provisioning_host: str
    id_scope: str
    server_verification_cert: str
    websockets: bool


class AzureClientKwargs(AzureServiceKwargs):
    """The same, including those of a device. The key is in them as plain text."""

    registration_id: str
    symmetric_key: str


class Service:
    """A running emulator: how to connect to it, and its native object."""

    def __init__(self, native: _native.Emulator, host: str, fixed_ports: bool) -> None:
        """Reads the properties that never change."""
        self.native = native
        self.host = host
        self.fixed_ports = fixed_ports
        self.ports = dict(zip(("https", "mqtt", "mqtt-ws"), native.ports(), strict=True))
        self.id_scope = native.id_scope()
        self.ca_pem = native.ca_pem()

    def client_kwargs(self, transport: Transport) -> ServiceKwargs:
        """Returns the arguments for a client of this package. Loopback is connected to without a proxy."""
        if transport not in self.ports:
            names = ", ".join(map(repr, get_args(Transport)))
            raise ValueError(f"argument 'transport': must be one of {names}, not {transport!r}")
        if self.ports[transport] == 0:
            raise ValueError(f"argument 'transport': this emulator does not listen for {transport!r}")
        endpoint = f"{self.host}:{self.ports[transport]}"
        return ServiceKwargs(
            id_scope=self.id_scope, endpoint=endpoint, transport=transport, ca_pem=self.ca_pem, proxy=False
        )

    def azure_client_kwargs(self, websockets: bool) -> AzureServiceKwargs:
        """Returns the arguments for the published client, which requires the ports 443 and 8883."""
        if not self.fixed_ports:
            raise RuntimeError(
                "the published client knows only the ports 443 and 8883: start the emulator with fixed_ports=True,"
                " or run pytest with --dps-fixed-ports"
            )
        return AzureServiceKwargs(
            provisioning_host=self.host,
            id_scope=self.id_scope,
            server_verification_cert=self.ca_pem,
            websockets=websockets,
        )

    def inject(self, registration_id: str | None, kind: FaultKind, details: FaultDetails) -> None:
        """Plans a fault; raises ValueError for a combination that is not possible."""
        members = {_MEMBERS.get(name, name): value for name, value in details.items()}
        whose = {} if registration_id is None else {"registrationId": registration_id}
        if registration_id is not None:
            check_text("registration_id", registration_id)
        if registration_id is not None and not self.native.has_enrollment_for(registration_id):
            raise ValueError(f"argument 'registration_id': no enrollment covers the device {registration_id!r}")
        with named_arguments():
            self.native.plan_fault(json.dumps({"kind": kind, **whose, **members}))


class Elsewhere(enum.Enum):
    """A credential that the emulator does not have."""

    CERTIFICATE = enum.auto()
    TPM = enum.auto()


class Device:
    """A device that is enrolled in the emulator: its id and credential, its faults, and what it did."""

    def __init__(
        self, service: Service, registration_id: str, credential: Secret | DeviceCertificate | X509 | Elsewhere
    ) -> None:
        """Created by Emulator.enroll and EnrollmentGroup."""
        self._service = service
        self._registration_id = registration_id
        self._credential = credential

    @property
    def registration_id(self) -> str:
        """The registration id."""
        return self._registration_id

    @property
    def key(self) -> Secret:
        """The device's own key, as base64. Raises RuntimeError if the device has a certificate or a TPM."""
        if not isinstance(self._credential, Secret):
            raise RuntimeError(f"the device {self._registration_id!r} has {self._instead} instead of a key")
        return self._credential

    @property
    def certificate(self) -> DeviceCertificate:
        """The DeviceCertificate that the device was enrolled with. Raises RuntimeError for another credential."""
        if not isinstance(self._credential, DeviceCertificate):
            raise RuntimeError(f"the device {self._registration_id!r} was not enrolled with a DeviceCertificate")
        return self._credential

    @property
    def attestation(self) -> SymmetricKey | X509:
        """The credential for a client of this package.

        Raises RuntimeError if the device was enrolled with a certificate whose private key the emulator does not have,
        or by the endorsement key of its TPM.
        """
        if self._credential is Elsewhere.TPM:
            raise RuntimeError(
                f"the device {self._registration_id!r} was enrolled by the endorsement key of its TPM:"
                " pass the attestation of this TPM"
            )
        if self._credential is Elsewhere.CERTIFICATE:
            raise RuntimeError(
                f"the device {self._registration_id!r} was enrolled without the private key of its certificate:"
                " pass an X509 of your own as attestation, or enroll a DeviceCertificate or an X509"
            )
        if isinstance(self._credential, DeviceCertificate):
            return self._credential.attestation
        return SymmetricKey(self._credential) if isinstance(self._credential, Secret) else self._credential

    @property
    def _instead(self) -> str:
        return "a TPM" if self._credential is Elsewhere.TPM else "a certificate"

    @property
    def id_scope(self) -> str:
        """The id scope of the service."""
        return self._service.id_scope

    def client_kwargs(self, transport: Transport = "https") -> ClientKwargs:
        """Returns keyword arguments for a client of this package that registers this device."""
        return ClientKwargs(
            **self._service.client_kwargs(transport),
            registration_id=self._registration_id,
            attestation=self.attestation,
        )

    def azure_client_kwargs(self, *, websockets: bool = False) -> AzureClientKwargs:
        """Returns keyword arguments for ProvisioningDeviceClient.create_from_symmetric_key of azure-iot-device.

        The key stands in them as plain text. Needs the fixed ports.
        """
        return AzureClientKwargs(
            **self._service.azure_client_kwargs(websockets),
            registration_id=self._registration_id,
            symmetric_key=self.key.expose(),
        )

    def inject(self, kind: FaultKind, **details: Unpack[FaultDetails]) -> None:
        """Plans a fault for this device's requests: see Emulator.inject."""
        self._service.inject(self._registration_id, kind, details)

    def clear_faults(self) -> int:
        """Removes the faults planned for this device; returns how many there were."""
        return self._service.native.clear_faults(self._registration_id)

    @property
    def unmet_faults(self) -> list[PlannedFault]:
        """The faults that were planned for this device and that none of its requests met."""
        own = self._registration_id.lower()
        planned = unmet(planned_faults(self._service.native.planned_faults()))
        return [fault for fault in planned if (fault.registration_id or "").lower() == own]

    @property
    def events(self) -> list[Event]:
        """What the device did, and what became of it, oldest first; the emulator keeps its latest 10,000 events."""
        return events(self._service.native, self._registration_id, {})

    def wait_for(self, *, timeout: float | timedelta = 10.0, **conditions: Unpack[EventConditions]) -> Event:
        """Waits until an event of the device meets the conditions, and returns the first one.

        Raises TimeoutError, which shows what happened instead.

        >>> from dps_client.emulator import Emulator
        >>> with Emulator() as emulator:
        ...     device = emulator.enroll("dev-01")
        ...     device.wait_for(kind="refusal", timeout=0.01)
        Traceback (most recent call last):
        TimeoutError: no event matched within 0.01 s; nothing arrived
        """
        return wait_for(self._service.native, self._registration_id, timeout, conditions)

    @property
    def counters(self) -> Counters:
        """The counters of this device."""
        return finding(Counters, self._service.native.counters(self._registration_id))

    @property
    def record(self) -> Record | None:
        """Its registration record; None before the first registration."""
        text = self._service.native.record(self._registration_id)
        return None if text is None else finding(Record, text)

    @property
    def refusals(self) -> list[Refusal]:
        """Its refused credentials among the emulator's latest hundred, oldest first."""
        everyone = findings(Refusal, self._service.native.refusals())
        own = self._registration_id.lower()
        return [refusal for refusal in everyone if refusal.registration_id.lower() == own]

    @property
    def hub_device(self) -> HubDevice | None:
        """Its entry in the hub that it is assigned to; None before the first registration."""
        record = self.record
        if record is None or record.assigned_hub is None or record.device_id is None:
            return None
        text = self._service.native.hub_device(record.assigned_hub, record.device_id)
        return None if text is None else finding(HubDevice, text)

    def hub_accepts(self, token: str) -> bool:
        """Returns whether the assigned hub would accept this SAS token."""
        entry = self.hub_device
        return entry is not None and self._service.native.hub_accepts(entry.hub, entry.device_id, token)

    def forget(self) -> bool:
        """Deletes its registration record; returns whether there was one."""
        return self._service.native.delete_record(self._registration_id)

    def __repr__(self) -> str:
        """Returns a representation without the key."""
        return f"{type(self).__name__}(registration_id={self._registration_id!r})"


class Enrollment(Device):
    """An individual enrollment, and its device."""

    def __init__(
        self,
        service: Service,
        registration_id: str,
        credential: Secret | DeviceCertificate | X509 | Elsewhere,
        secondary_key: Secret | None,
    ) -> None:
        """Created by Emulator.enroll."""
        super().__init__(service, registration_id, credential)
        self._secondary_key = secondary_key

    @property
    def secondary_key(self) -> Secret:
        """The secondary key, for replacing keys without an interruption; raises RuntimeError like key."""
        if self._secondary_key is None:
            raise RuntimeError(f"the device {self._registration_id!r} has {self._instead} instead of a key")
        return self._secondary_key

    def disable(self) -> None:
        """Disables the enrollment: registrations of its device end as "disabled"."""
        self._service.native.enable_enrollment(self._registration_id, False)

    def enable(self) -> None:
        """Enables the enrollment again."""
        self._service.native.enable_enrollment(self._registration_id, True)

    def remove(self) -> bool:
        """Deletes the enrollment and its record; returns whether there was one."""
        return self._service.native.delete_enrollment(self._registration_id)


class EnrollmentGroup:
    """An enrollment group: the devices with a key derived from its key, or with a certificate of its authority."""

    def __init__(self, service: Service, group_id: str, keys: tuple[Secret, Secret] | None) -> None:
        """Created by Emulator.enroll_group."""
        self._service = service
        self._group_id = group_id
        self._keys = keys

    @property
    def group_id(self) -> str:
        """The id of the group."""
        return self._group_id

    def _of_keys(self, index: int) -> Secret:
        if self._keys is None:
            raise RuntimeError(f"the devices of the group {self._group_id!r} have certificates instead of keys")
        return self._keys[index]

    @property
    def key(self) -> Secret:
        """The primary key of the group, as base64. Raises RuntimeError if its devices have certificates."""
        return self._of_keys(0)

    @property
    def secondary_key(self) -> Secret:
        """The secondary key, for replacing keys without an interruption; otherwise like key."""
        return self._of_keys(1)

    def device(self, registration_id: str) -> Device:
        """Returns a device of the group, with its derived key. Raises RuntimeError if its devices have certificates."""
        key = GroupKey(self.key).derive(registration_id).to_base64()
        return Device(self._service, registration_id, key)

    def device_with(self, certificate: DeviceCertificate | X509) -> Device:
        """Returns the device that presents this certificate; its registration id is the common name."""
        common_name = certificate.common_name
        if common_name is None:
            raise ValueError("argument 'certificate': it has no common name, which is the registration id")
        return Device(self._service, common_name, certificate)

    def disable(self) -> None:
        """Disables the group: registrations of its devices end as "disabled"."""
        self._service.native.enable_group(self._group_id, False)

    def enable(self) -> None:
        """Enables the group again."""
        self._service.native.enable_group(self._group_id, True)

    def remove(self) -> bool:
        """Deletes the group and the records of its devices; returns whether there was one."""
        return self._service.native.delete_group(self._group_id)

    def __repr__(self) -> str:
        """Returns a representation without the keys."""
        return f"EnrollmentGroup(group_id={self._group_id!r})"
