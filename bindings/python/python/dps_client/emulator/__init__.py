"""A local provisioning service in this process: it verifies credentials, assigns, throttles, and fails on command.

>>> from dps_client import ProvisioningClient
>>> with Emulator(assign_at_once=True) as emulator:
...     device = emulator.enroll("dev-01")
...     assignment = ProvisioningClient(**device.client_kwargs()).register()
>>> assignment.hub
'hub-a.test'

It listens on loopback only, uses TLS with its own certificate authority, and stores nothing unless `state_dir` is set.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any

from dps_client._native import X509, CertificateAuthority, DeviceCertificate, Secret
from dps_client.emulator._devices import (
    AzureClientKwargs,
    AzureServiceKwargs,
    ClientKwargs,
    Device,
    Elsewhere,
    Enrollment,
    EnrollmentGroup,
    FaultDetails,
    FaultKind,
    FaultPlace,
    RetryAfter,
    Service,
    ServiceKwargs,
    Transport,
    check_text,
    named_arguments,
)
from dps_client.emulator._events import Event, EventConditions, EventKind, events, wait_for
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
from dps_client.emulator._folder import own_folder
from dps_client.emulator._options import EmulatorOptions, HubProfile, IssuanceCodes, check, offset_ms
from dps_client.emulator._ports import PortsUnavailable
from dps_client.emulator._settings import (
    EnrollmentSettings,
    check_type,
    members,
    pem,
    set_certificates,
    set_endorsement_key,
)
from dps_client.emulator._start import start_anywhere, start_configured, start_fixed
from dps_client.emulator._typing import Unpack

__all__ = [
    "AzureClientKwargs",
    "AzureServiceKwargs",
    "CertificateAuthority",
    "ClientKwargs",
    "Counters",
    "Device",
    "DeviceCertificate",
    "Emulator",
    "EmulatorOptions",
    "Enrollment",
    "EnrollmentGroup",
    "EnrollmentSettings",
    "Event",
    "EventConditions",
    "EventKind",
    "FaultDetails",
    "FaultKind",
    "FaultPlace",
    "HubDevice",
    "HubProfile",
    "IssuanceCodes",
    "PlannedFault",
    "PortsUnavailable",
    "Record",
    "Refusal",
    "RetryAfter",
    "ServiceKwargs",
    "Transport",
    "UnmetFaultWarning",
]


class UnmetFaultWarning(UserWarning):
    """No request met a planned fault, so that the test did not test what it was meant to."""


class Emulator:
    """A local provisioning service that runs within a `with` block, or between start() and stop().

    Accepts EmulatorOptions as keyword arguments.
    """

    def __init__(self, **options: Unpack[EmulatorOptions]) -> None:
        """Stores the options; nothing listens yet."""
        check(options)
        self._options = options
        self._config: str | None = None
        self._service: Service | None = None
        self._closing = contextlib.ExitStack()

    @classmethod
    def from_config(cls, path: str | os.PathLike[str]) -> Emulator:
        """Returns an emulator that starts from a configuration file (TOML), as `dps emulator --config` does.

        The file has its options, hubs, CA certificates, enrollments and faults; docs/emulator-config.md describes it.
        A mistake in it raises ValueError at the start, with line and column.
        """
        emulator = cls()
        emulator._config = os.fspath(path)
        return emulator

    def start(self) -> None:
        """Starts it. Raises PortsUnavailable, which is an OSError, if the fixed ports are not available."""
        if self._service is not None:
            raise RuntimeError("this emulator was started already")
        with contextlib.ExitStack() as closing:
            if self._config is not None:
                service = start_configured(closing, self._config)
            elif self._options.get("fixed_ports"):
                service = start_fixed(closing, self._options)
            else:
                service = start_anywhere(closing, self._options)
            folder = closing.enter_context(own_folder())
            self._ca_file = os.path.join(folder, "ca.pem")
            with open(self._ca_file, "w", encoding="ascii") as file:
                file.write(service.ca_pem)
            self._service = service
            self._closing = closing.pop_all()

    def stop(self) -> None:
        """Stops it, ends its threads and closes its files, in two seconds at most. It can be called again.

        Warns (UnmetFaultWarning) of planned faults that no request met.
        """
        faults = [] if self._service is None else unmet(self.planned_faults)
        self._close()
        for fault in faults:
            warnings.warn(f"no request met the fault {fault}", UnmetFaultWarning, stacklevel=2)

    def _close(self) -> None:
        self._service = None
        self._closing.close()

    def __enter__(self) -> Emulator:
        """Starts it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops it. If the block raised an exception, there is no warning of unmet faults."""
        if raised is None:
            self.stop()
        else:
            self._close()

    @property
    def _running(self) -> Service:
        if self._service is None:
            raise RuntimeError("this emulator is not started: use it in a `with` block, or call start()")
        return self._service

    @property
    def host(self) -> str:
        """The host name or address of its certificate, without a port."""
        return self._running.host

    @property
    def https_port(self) -> int:
        """The port of HTTPS."""
        return self._running.ports["https"]

    @property
    def mqtt_port(self) -> int:
        """The port of MQTT over TLS."""
        return self._running.ports["mqtt"]

    @property
    def wss_port(self) -> int:
        """The port of MQTT over WebSocket."""
        return self._running.ports["mqtt-ws"]

    @property
    def id_scope(self) -> str:
        """The id scope."""
        return self._running.id_scope

    @property
    def ca_pem(self) -> str:
        """The certificate authority that clients must trust, as PEM."""
        return self._running.ca_pem

    @property
    def ca_file(self) -> str:
        """The path of a PEM file with the certificate authority. It is deleted when the emulator stops."""
        return self._ca_file if self._running else ""

    @property
    def connection_string(self) -> Secret:
        """The connection string for service clients, which contains the policy key."""
        return self._running.native.connection_string()

    def client_kwargs(self, transport: Transport = "https") -> ServiceKwargs:
        """Returns keyword arguments for a client of this package; Device.client_kwargs includes the device's too."""
        return self._running.client_kwargs(transport)

    def azure_client_kwargs(self, *, websockets: bool = False) -> AzureServiceKwargs:
        """Returns keyword arguments for the published Python client (azure-iot-device).

        Device.azure_client_kwargs includes the device's too. Requires the fixed ports.
        """
        return self._running.azure_client_kwargs(websockets)

    def enroll(
        self,
        registration_id: str,
        *,
        device_id: str | None = None,
        certificate: DeviceCertificate | X509 | str | None = None,
        secondary_certificate: DeviceCertificate | X509 | str | None = None,
        endorsement_key: str | None = None,
        **settings: Unpack[EnrollmentSettings],
    ) -> Enrollment:
        """Creates or replaces the individual enrollment of one device.

        device_id is its id at the hub, if that is to differ from the registration id. certificate is the device's own,
        instead of a key: its common name must be the registration id. secondary_certificate is accepted too, such as
        the one that replaces the first. Either can be PEM, if the private key is elsewhere. endorsement_key is that of
        the device's TPM, the base64 of a TPM2B_PUBLIC, instead of a key or a certificate.
        """
        check_text("registration_id", registration_id)
        enrollment: dict[str, Any] = {"registrationId": registration_id, **members(settings)}
        if device_id is not None:
            check_text("device_id", device_id)
            enrollment["deviceId"] = device_id
        set_certificates(enrollment, "clientCertificates", certificate, secondary_certificate, settings)
        if endorsement_key is not None:
            set_endorsement_key(enrollment, endorsement_key, certificate, settings)
        with named_arguments():
            keys = self._running.native.put_enrollment(json.dumps(enrollment))
        if keys is not None:
            return Enrollment(self._running, registration_id, *keys)
        if endorsement_key is not None:
            return Enrollment(self._running, registration_id, Elsewhere.TPM, None)
        credential = Elsewhere.CERTIFICATE if certificate is None or isinstance(certificate, str) else certificate
        return Enrollment(self._running, registration_id, credential, None)

    def enroll_group(
        self,
        group_id: str,
        *,
        certificate: CertificateAuthority | str | None = None,
        secondary_certificate: CertificateAuthority | str | None = None,
        **settings: Unpack[EnrollmentSettings],
    ) -> EnrollmentGroup:
        """Creates or replaces an enrollment group, whose devices have keys derived from the group key.

        certificate is that of an authority, which can be PEM, instead of a key: the group's devices have certificates
        that it signed, or that an authority below it signed. Like the service, the emulator accepts them if their chain
        leads to one of its verified CA certificates: see add_ca_certificate.
        """
        check_text("group_id", group_id)
        group = {"enrollmentGroupId": group_id, **members(settings)}
        set_certificates(group, "signingCertificates", certificate, secondary_certificate, settings)
        with named_arguments():
            keys = self._running.native.put_group(json.dumps(group))
        return EnrollmentGroup(self._running, group_id, keys)

    def enrollment(self, registration_id: str) -> Enrollment:
        """Returns an individual enrollment, such as one of a configuration; raises KeyError if it does not exist."""
        check_text("registration_id", registration_id)
        found = self._running.native.enrollment_attestation(registration_id)
        if found is None:
            raise KeyError(registration_id)
        kind, keys = found
        if keys is not None:
            return Enrollment(self._running, registration_id, *keys)
        elsewhere = Elsewhere.TPM if kind == "tpm" else Elsewhere.CERTIFICATE
        return Enrollment(self._running, registration_id, elsewhere, None)

    def group(self, group_id: str) -> EnrollmentGroup:
        """Returns an enrollment group, such as one of a configuration; raises KeyError if it does not exist."""
        check_text("group_id", group_id)
        found = self._running.native.group_attestation(group_id)
        if found is None:
            raise KeyError(group_id)
        return EnrollmentGroup(self._running, group_id, found[1])

    def add_ca_certificate(self, name: str, certificate: CertificateAuthority | str, *, verified: bool = True) -> None:
        """Adds a CA certificate to the service, or replaces the one with this name.

        certificate can be PEM. A chain that leads to it is accepted only if it is verified, at the service by proof of
        possession.
        """
        check_text("name", name)
        check_type("verified", verified)
        self._running.native.put_ca_certificate(name, pem("certificate", certificate), verified)

    def remove_ca_certificate(self, name: str) -> bool:
        """Removes a CA certificate from the service; returns whether there was one."""
        check_text("name", name)
        return self._running.native.delete_ca_certificate(name)

    def inject(self, kind: FaultKind, *, registration_id: str | None = None, **details: Unpack[FaultDetails]) -> None:
        """Plans a fault for the next requests of one device, or of all; Device.inject is for one device.

        At most one fault applies to a request, the one that was planned first. Raises ValueError for a combination that
        is not possible, and for a registration id that no enrollment covers.
        """
        self._running.inject(registration_id, kind, details)

    @property
    def planned_faults(self) -> list[PlannedFault]:
        """The planned faults that are still pending, in the order in which they apply."""
        return planned_faults(self._running.native.planned_faults())

    def clear_faults(self) -> int:
        """Removes all planned faults; returns how many there were."""
        return self._running.native.clear_faults(None)

    @property
    def counters(self) -> Counters:
        """The counters of all devices together."""
        return finding(Counters, self._running.native.counters(None))

    def reset_counters(self) -> None:
        """Resets all counters to zero, those of each device too."""
        self._running.native.reset_counters()

    @property
    def refusals(self) -> list[Refusal]:
        """The latest hundred refused credentials with the reasons, oldest first."""
        return findings(Refusal, self._running.native.refusals())

    @property
    def events(self) -> list[Event]:
        """What reached the emulator, oldest first: connections, exchanges, refusals, hub sign-ins and faults."""
        return events(self._running.native, None, {})

    @property
    def last_event(self) -> int:
        """The seq of the latest event, 0 before the first: for events of what a test does next."""
        return self._running.native.last_event()

    def wait_for(
        self,
        *,
        registration_id: str | None = None,
        timeout: float | timedelta = 10.0,
        **conditions: Unpack[EventConditions],
    ) -> Event:
        """Waits until an event meets the conditions, and returns the first one: see Device.wait_for."""
        if registration_id is not None:
            check_text("registration_id", registration_id)
        return wait_for(self._running.native, registration_id, timeout, conditions)

    def link_hub(self, host: str, weight: int = 1) -> None:
        """Links a hub, or changes its weight, from 1 to 1000."""
        check_text("host", host)
        self._running.native.link_hub(host, weight)

    def unlink_hub(self, host: str) -> bool:
        """Unlinks a hub from the service; returns whether it was linked."""
        check_text("host", host)
        return self._running.native.unlink_hub(host)

    def set_clock_offset(self, offset: float | timedelta) -> None:
        """Sets the service's date ahead of the system's by this time, or behind it if negative, and nothing else.

        This is what a device with a wrong clock sees. To let time pass, use advance_clock().
        """
        self._running.native.set_clock_offset_ms(offset_ms("offset", offset))

    def advance_clock(self, time: float | timedelta) -> None:
        """Lets time pass on the service's clock at once, in seconds or as a timedelta.

        The date and everything that waits move on: assignments become due, rate windows and operations end, tokens and
        certificates expire. A client follows by its argument `clock`, for example `clock=lambda: emulator.now`.
        """
        self._running.native.advance_clock(time)

    def scale_clock(self, factor: int) -> None:
        """Divides what waits by 1 to 1000: assignments, hints (rounded up to seconds), rate windows, operations' lives.

        With 60 an hour of backoff is a minute of a test. The date is not changed.
        """
        self._running.native.scale_clock(factor)

    @property
    def now(self) -> datetime:
        """The service's date, in UTC."""
        return datetime.fromtimestamp(self._running.native.unix_ms() / 1000, tz=timezone.utc)

    def __repr__(self) -> str:
        """Returns the address and ports, or "Emulator(stopped)"."""
        if self._service is None:
            return "Emulator(stopped)"
        return f"Emulator(host={self.host!r}, https_port={self.https_port}, mqtt_port={self.mqtt_port})"
