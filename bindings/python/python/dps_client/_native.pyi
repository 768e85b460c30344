"""The native part of the package. `dps_client` exports what applications use."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Protocol, final, type_check_only

from typing_extensions import Self, disjoint_base

__all__ = [
    "X509",
    "Assignment",
    "CertificateAuthority",
    "Client",
    "DeviceCertificate",
    "DeviceKeys",
    "Emulator",
    "GroupKey",
    "HubCredentials",
    "HubPassword",
    "HubRenewal",
    "IdentityStore",
    "IssuedIdentity",
    "LoadedIdentity",
    "OperationalKey",
    "Pkcs11Key",
    "Progress",
    "RegistrationRecord",
    "Secret",
    "Signer",
    "SymmetricKey",
    "Tpm",
    "TpmIdentity",
    "__version__",
    "accept",
    "acceptance_scenarios",
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

    The text does not appear in repr or in a traceback with local variables, and a Secret cannot be pickled. Only
    expose() returns the text.
    """

    def __new__(cls, text: str) -> Self: ...
    def expose(self) -> str:
        """Returns the text. The name makes every use easy to find."""

@final
class SymmetricKey:
    """A device's own key: of an individual enrollment, or derived from a group key. Base64 of 16 to 64 bytes.

    >>> SymmetricKey("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")
    SymmetricKey(32 bytes)
    """

    def __new__(cls, key: str | Secret) -> Self: ...
    @staticmethod
    def from_bytes(raw: bytes) -> SymmetricKey:
        """Returns the key of 16 to 64 raw bytes, the format of IoT Edge's key files."""

    @staticmethod
    def from_file(path: str | PathLike[str]) -> SymmetricKey:
        """Reads a file that contains the key as base64; a line break at the end is allowed."""

    def sign(self, message: bytes) -> bytes:
        """Returns the HMAC-SHA256 of a message under this key, 32 bytes, as a Signer must."""

    def to_base64(self) -> Secret:
        """Returns the key as base64."""

@final
class GroupKey:
    """An enrollment group's key, from which the key of each device is derived. Base64 of 16 to 64 bytes.

    For factories and tests. Do not store it on a device: whoever extracts it can pretend to be any device of the group.
    Derive the device's key elsewhere and store only that on the device.
    """

    def __new__(cls, key: str | Secret) -> Self: ...
    @staticmethod
    def from_bytes(raw: bytes) -> GroupKey:
        """Returns the key of 16 to 64 raw bytes."""

    @staticmethod
    def from_file(path: str | PathLike[str]) -> GroupKey:
        """Reads a file that contains the key as base64; a line break at the end is allowed."""

    def derive(self, registration_id: str) -> SymmetricKey:
        """Returns the key of one device of the group. The registration id is used exactly as it is spelled."""

@final
class Signer:
    """A callable that signs with the device's key, which a hardware token, a secure element or a service can hold.

    It is called with the bytes to sign and returns their HMAC-SHA256, 32 bytes; it can be a coroutine function. It is
    not called on the caller's thread, and must not take longer than request_timeout. If it raises an exception, that is
    the __cause__ of the exception that ends the registration.
    """

    def __new__(cls, sign: Callable[[bytes], bytes | Awaitable[bytes]]) -> Self: ...

@final
class X509:
    """A device's X.509 certificate with its private key, and the intermediate certificates above it.

    An enrollment group requires every intermediate up to a certificate that is verified at the service; an individual
    enrollment requires only the device's own certificate. The key is EC P-256, EC P-384, or RSA with 2048 to 4096 bits.
    The private key does not appear in repr or in a traceback, and an X509 cannot be pickled.
    """

    @staticmethod
    def from_files(
        certificate_file: str | PathLike[str],
        key_file: str | PathLike[str] | None = None,
        *,
        passphrase: str | Secret | None = None,
        passphrase_file: str | PathLike[str] | None = None,
    ) -> X509:
        """Reads a file of certificates, the device's own first, and a file of its private key.

        Certificates are PEM or DER; the key is PKCS#8, SEC1 or PKCS#1, as PEM or DER. key_file can be left out if the
        first file contains the key too. passphrase, or the content of passphrase_file, is that of an encrypted key.

        Raises ConfigurationError if something cannot be used, and a FileError if a file cannot be read.
        """

    @staticmethod
    def from_pem(
        certificate: str | bytes, key: str | bytes | Secret, *, passphrase: str | Secret | None = None
    ) -> X509:
        """Returns the certificates, the device's own first, with the private key, from PEM; DER is accepted too.

        passphrase is that of an encrypted key (PKCS#8). Raises ConfigurationError if something cannot be used.
        """

    @staticmethod
    def from_pkcs11(certificate_file: str | PathLike[str], key: Pkcs11Key) -> X509:
        """Reads a file of certificates, the device's own first, whose private key is in a PKCS#11 token.

        It opens the token and compares the key with the certificate, which can take 30 seconds; Ctrl-C is handled
        afterwards. Raises DpsError if the token or the key cannot be used.
        """

    @property
    def common_name(self) -> str | None:
        """The common name of the device's certificate, which is its registration id; None if it has none."""

    @property
    def certificates(self) -> list[bytes]:
        """The certificates as DER, the device's own first."""

@final
class Pkcs11Key:
    """A key in a PKCS#11 token, which never leaves it, by its URI (RFC 7512).

    It is a symmetric key that signs with CKM_SHA256_HMAC, for the argument attestation; or the private key of a
    certificate, for X509.from_pkcs11. module is the token's module, a shared library, which is loaded. By default it
    is p11-kit's proxy, which has the tokens of every module that the system is configured with. pin_file is a file
    with the PIN, pin the PIN itself. By default the file of the URI's pin-source is read.

    The token is opened when the key is used first. A PIN that the token refused is not tried again.

    >>> Pkcs11Key("pkcs11:token=Gateway;object=device-id", pin_file="/run/secrets/pin")
    Pkcs11Key('pkcs11:token=Gateway;object=device-id')
    """

    def __new__(
        cls,
        uri: str,
        *,
        pin_file: str | PathLike[str] | None = None,
        pin: str | Secret | None = None,
        module: str | PathLike[str] | None = None,
    ) -> Self: ...
    def sign(self, message: bytes, *, timeout: float | timedelta | None = None) -> bytes:
        """Returns the HMAC-SHA256 of a message under a symmetric key, 32 bytes, or raises DpsError.

        timeout is in seconds or a timedelta, 30 seconds by default.
        """

@final
class Tpm:
    """A TPM 2.0 that proves who the device is, for the argument attestation; only over HTTPS.

    tcti is how the TPM is reached: "device" for the system's, "device:FILE", "swtpm:host=HOST,port=PORT" or
    "swtpm:path=SOCKET". endorsement_password_file and owner_password_file are files with the passwords of its
    hierarchies, which are empty by default. auth_key_index is where the TPM keeps the key for the hub, as an offset to
    0x81000000 like IoT Edge's; by default 0x100. Each registration replaces that key.

    A password that the TPM refused is not tried again. Published wheels are built without TPM attestation: there,
    creating a Tpm raises ConfigurationError "feature-missing".
    """

    def __new__(
        cls,
        tcti: str,
        *,
        endorsement_password_file: str | PathLike[str] | None = None,
        owner_password_file: str | PathLike[str] | None = None,
        auth_key_index: int | None = None,
    ) -> Self: ...
    def identity(self, *, timeout: float | timedelta | None = None) -> TpmIdentity:
        """Reads what the enrollment of this TPM needs, or raises DpsError. The TPM is not changed.

        timeout is in seconds or a timedelta, 60 seconds by default; Ctrl-C is handled afterwards. A TPM without an
        endorsement key makes it meanwhile, which can take long.
        """

@final
class TpmIdentity:
    """What the enrollment of a TPM needs. Nothing of it is secret."""

    @property
    def registration_id(self) -> str:
        """The registration id that is derived from the endorsement key: the default of a client with this TPM."""

    @property
    def endorsement_key(self) -> str:
        """The endorsement key (TPM2B_PUBLIC) as base64."""

@final
class OperationalKey:
    """The private key that a device uses with an issued certificate.

    It is another key than the one that the device registers with: it is made on the device, and only a certificate
    request for it leaves the device. It does not appear in repr or in a traceback, and cannot be pickled.

    >>> OperationalKey.generate().certificate_request("dev-01")[:1]
    b'0'
    """

    @staticmethod
    def generate(algorithm: Literal["ec-p256", "ec-p384", "rsa-2048"] = "ec-p256") -> OperationalKey:
        """Makes a new key: "ec-p256", "ec-p384" or "rsa-2048"."""

    @staticmethod
    def from_pem(key: str | bytes | Secret) -> OperationalKey:
        """Reads a key: PKCS#8, SEC1 or PKCS#1, as PEM or DER, not encrypted.

        Raises ConfigurationError if it cannot be used.
        """

    @staticmethod
    def from_file(path: str | PathLike[str]) -> OperationalKey:
        """Reads a file with a key, as from_pem does.

        Raises ConfigurationError if it cannot be used, and a FileError if the file cannot be read.
        """

    @staticmethod
    def from_pkcs11(key: Pkcs11Key) -> OperationalKey:
        """Uses a private key that is in a PKCS#11 token already: EC P-256, EC P-384, or RSA from 2048 bits.

        It opens the token and reads the public key, which can take 30 seconds; Ctrl-C is handled afterwards. Raises
        DpsError if the token or the key cannot be used.
        """

    def certificate_request(self, registration_id: str) -> bytes:
        """Returns a certificate request (PKCS #10, RFC 2986) as DER, whose common name is the registration id.

        It is for the client's argument certificate_request, or for HubRenewal.issue. A key in a token signs it there.
        """

@final
class IssuedIdentity:
    """A key, and the certificate chain that the service issued for it.

    accept() returns one, and IdentityStore.load().
    """

    @staticmethod
    def accept(
        key: OperationalKey, chain: Iterable[bytes], registration_id: str, *, now: float | datetime | None
    ) -> IssuedIdentity:
        """Checks a chain that was issued, such as Assignment.issued_chain, and returns it with its key.

        It must be for this key and this registration id, its certificates must fit together, and they must be valid
        now. now is in seconds since 1970 or a datetime with a time zone; None if the time is not known, which is not
        checked then.

        Raises DpsError otherwise: its name is "client-key-mismatch", "common-name-mismatch",
        "client-certificate-expired" or "invalid-client-certificate". An identity that was stored before is still
        usable.
        """

    @property
    def x509(self) -> X509:
        """The certificate with its key: a credential for the argument attestation of a client, and for the hub."""

    @property
    def chain(self) -> list[bytes]:
        """The certificates as DER, the device's own first."""

    @property
    def key(self) -> OperationalKey:
        """The key."""

    @property
    def registration_id(self) -> str:
        """The registration id, which is the common name of the certificate."""

    @property
    def not_before(self) -> datetime:
        """The first moment of its validity, in UTC."""

    @property
    def not_after(self) -> datetime:
        """The last moment of its validity, in UTC."""

    @property
    def renew_at(self) -> datetime:
        """When to renew it, in UTC: after 75 to 80 % of its life.

        Which moment it is follows from the certificate, so that it stays the same over restarts and differs between
        the devices of a fleet.
        """

    def state_at(self, now: float | datetime) -> Literal["notYetValid", "valid", "renewalDue", "expired"]:
        """Returns what the time means for it: "notYetValid", "valid", "renewalDue" or "expired".

        now is in seconds since 1970 or a datetime with a time zone.
        """

    def is_valid_at(self, now: float | datetime) -> bool:
        """Returns whether it can be used: it is "valid" or "renewalDue".

        Otherwise the device registers with its bootstrap credential. now is as for state_at.
        """

@final
class LoadedIdentity:
    """What IdentityStore.load() found."""

    @property
    def identity(self) -> IssuedIdentity | None:
        """The identity, which may have expired; None if nothing usable is stored."""

    @property
    def set_aside(self) -> Path | None:
        """Where a file is now that contained no identity, or a key and chain that do not fit; else None."""

    @property
    def problem(self) -> str | None:
        """What is wrong with that file; None if there was none."""

@final
class IdentityStore:
    """The directory that keeps one device's issued identity over restarts, locked for this process until it is closed.

    identity.pem is the truth: key and chain in one file, which is written whole or not at all. key.pem and chain.pem
    are copies for programs that read them separately, written after it and repaired by load(). A program that requires
    key and chain to fit at every moment reads identity.pem. Files with the key have the mode 0600.

    directory must exist. registration_id tells whose identity it is: that of another device is refused instead of used
    or replaced. pkcs11_key is the key in a token, with its module and PIN, which are not stored; an identity whose key
    is in a token cannot be loaded without it.

    Creating it raises a FileError if another process has locked the directory, or the lock cannot be created. It is a
    context manager, which closes it.
    """

    def __new__(
        cls,
        directory: str | PathLike[str],
        *,
        registration_id: str | None = None,
        pkcs11_key: Pkcs11Key | None = None,
    ) -> Self: ...
    @property
    def directory(self) -> Path:
        """The directory."""

    def load(self) -> LoadedIdentity:
        """Reads the stored identity, and repairs the copies of its key and chain.

        A file that cannot be used is renamed, so that a new identity can be stored and the old one examined. With a
        key in a token, it opens the token, which can take 30 seconds; Ctrl-C is handled afterwards.

        Raises a FileError if the file cannot be read, and DpsError if it is another device's, or if its key is in a
        token and cannot be used.
        """

    def save(self, identity: IssuedIdentity) -> None:
        """Stores an identity: the old one or the new one is there afterwards, whatever happens. The copies follow.

        Raises a FileError if a file cannot be written; the identity itself may be stored already, and load() returns
        which one is. Raises DpsError if it is another device's.
        """

    def clear(self) -> None:
        """Removes the identity and its copies, if there are any."""

    def close(self) -> None:
        """Releases the lock. A second call has no effect."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_unused: object) -> None: ...

@final
class HubRenewal:
    """Renews an issued certificate at the device's hub, over MQTT 3.1.1.

    The device signs in with credentials: with the certificate that it has, or with any other credential of it. It sends
    a certificate request for a new key; the hub accepts it and issues the chain later. A connection that breaks in
    between is made again, and the request goes on. The new certificate is used from the next connection on; the old one
    stays valid until it expires.

    A hub lets a device have one connection: what the application has open to the same hub is closed by this one. Hubs
    with the profile mqttV5 offer no renewal; register again there. It is a preview of the service (hub API version
    2025-08-01-preview).

    credentials: those of ProvisioningClient.hub_credentials or Assignment.hub_credentials.
    transport: "mqtt" (port 8883) or "mqtt-ws" (MQTT over WebSocket, port 443). Default: "mqtt". port: another port.
    address: the hub's IP address, instead of what its name resolves to; for tests and private networks.
    ca_file, ca_pem, keep_platform_roots, proxy: as for a client.
    timeout: the time that the renewal may take in all. Default: 2 minutes. The wait after an error of the hub
    can be 5 minutes and more. request_timeout: the time that a connection, or the first answer, may take. Default: 30
    seconds.
    replace_active: whether to replace another certificate request of the device that is active at its hub (default),
    since its key may have been lost in a restart; otherwise issue() ends with "conflict".
    """

    def __new__(
        cls,
        credentials: HubCredentials,
        *,
        transport: Literal["mqtt", "mqtt-ws"] | None = None,
        port: int | None = None,
        address: str | None = None,
        ca_file: str | PathLike[str] | None = None,
        ca_pem: str | bytes | None = None,
        keep_platform_roots: bool | None = None,
        proxy: str | Literal[False] | None = None,
        timeout: float | timedelta | None = None,
        request_timeout: float | timedelta | None = None,
        replace_active: bool | None = None,
    ) -> Self: ...
    def issue(self, request: bytes) -> list[bytes]:
        """Sends a certificate request and waits for the chain: certificates as DER, the device's own first.

        request is that of OperationalKey.certificate_request, for a new key. The chain is not checked: see
        IssuedIdentity.accept. Ctrl-C ends it immediately, and leaves a request that was accepted active at the hub.

        Raises DpsError: a refusal by the hub with its http_status and error_code, such as "bad-request", "conflict" or
        "throttled"; "unauthorized" if it refuses the device; what prevents a connection; or the timeout.
        """

    def issue_async(self, request: bytes) -> Awaitable[list[bytes]]:
        """The same as an awaitable. Canceling its task ends it immediately."""

@final
class CertificateAuthority:
    """A certification authority for tests, with its key in memory.

    It is valid for 90 days. Make it known to an emulator by Emulator.add_ca_certificate, and enroll its devices by
    Emulator.enroll_group.

    >>> line = CertificateAuthority("Root").intermediate("Line 7")
    >>> line.device("press-7")
    DeviceCertificate(common_name='press-7', certificates=3)
    """

    def __new__(cls, common_name: str) -> Self: ...
    def intermediate(self, common_name: str) -> CertificateAuthority:
        """Returns an authority whose certificate this one issues."""

    def device(
        self,
        common_name: str,
        *,
        valid_for: float | timedelta | None = None,
        curve: Literal["P-256", "P-384"] = "P-256",
    ) -> DeviceCertificate:
        """Issues the certificate of a device, with a new key.

        valid_for is in seconds or a timedelta, 30 days by default and 90 at most. curve is that of the key.
        """

    @property
    def common_name(self) -> str:
        """The common name of the certificate."""

    @property
    def certificate_pem(self) -> str:
        """Its own certificate as PEM, for an enrollment group or as a CA certificate of the service."""

@final
class DeviceCertificate:
    """The certificate of a device for tests, with its key and the certificates above it."""

    @staticmethod
    def self_signed(
        common_name: str,
        *,
        valid_for: float | timedelta | None = None,
        curve: Literal["P-256", "P-384"] = "P-256",
    ) -> DeviceCertificate:
        """Returns a self-signed certificate, for an individual enrollment.

        valid_for is in seconds or a timedelta, 30 days by default and 90 at most. curve is that of the key.
        """

    @property
    def common_name(self) -> str:
        """The common name, which is the registration id of the device."""

    @property
    def certificate_pem(self) -> str:
        """The device's certificate as PEM, without those above it."""

    @property
    def chain_pem(self) -> str:
        """The device's certificate and those above it, up to the root, as PEM."""

    @property
    def key_pem(self) -> Secret:
        """The private key as PEM (PKCS#8)."""

    @property
    def attestation(self) -> X509:
        """The credential for a client of this package, with the whole chain."""

    def write(self, directory: str | PathLike[str]) -> tuple[str, str]:
        """Writes the chain to certificate.pem and the key to key.pem in a directory; returns both paths.

        The key can be read only by the user.
        """

@final
class Progress:
    """The next step of a registration."""

    @property
    def step(self) -> Literal["signing", "sending", "waiting", "switching"]:
        """ "signing", "sending", "waiting", or "switching" to the next credential of fallback."""

    @property
    def call(self) -> Literal["register", "status", "lookup"] | None:
        """The request: "register", "status" or "lookup"; None in other steps."""

    @property
    def wait(self) -> timedelta | None:
        """The length of the wait; None in other steps."""

    @property
    def resume_token(self) -> str | None:
        """While waiting for an operation: the token with which a restarted device resumes instead of registering again;
        else None. It contains no secrets.
        """

    @property
    def refused_credential(self) -> tuple[int, str] | None:
        """While switching: the credential that the service refused, as its index, from 0 for attestation, and its kind,
        such as "symmetricKey" or "x509"; else None.
        """

    @property
    def next_credential(self) -> tuple[int, str] | None:
        """While switching: the credential that is tried now, in the same form; else None."""

@final
class Assignment:
    """The hub that the device is assigned to, and its device id there."""

    @property
    def hub(self) -> str:
        """The host name of the hub."""

    @property
    def device_id(self) -> str:
        """The device id at the hub; case-sensitive there."""

    @property
    def registration_id(self) -> str:
        """The registration id, as passed to the client."""

    @property
    def status(self) -> str:
        """The status of the registration: "assigned"."""

    @property
    def substatus(self) -> str | None:
        """The substatus, such as "initialAssignment". For information only; the service can add values."""

    @property
    def operation_id(self) -> str | None:
        """The operation id; None if the service assigned the hub in its first reply."""

    @property
    def credential_index(self) -> int:
        """Which credential the service accepted: 0 for the client's attestation, 1 and more for its fallback."""

    @property
    def connection_profile(self) -> str | None:
        """The protocol that the hub speaks: "classic" (MQTT 3.1.1) or "mqttV5"; the service can add values.

        None if not reported: only a client with connection_profile=True asks for it.
        """

    @property
    def payload(self) -> dict[str, Any] | None:
        """The payload that the service's allocation webhook returned: a new dict for each access, or None."""

    @property
    def issued_chain(self) -> list[bytes]:
        """The certificates that were issued for the client's certificate_request, as DER, the device's own first.

        Empty without a request, or if the API version has no issuance. They are as the service sent them:
        IssuedIdentity.accept checks them.
        """

    @property
    def elapsed(self) -> timedelta:
        """How long the registration took."""

    def connection_string(self) -> Secret | None:
        """Returns "HostName=...;DeviceId=...;SharedAccessKey=...", or with "x509=true" for a device with a certificate.

        None if a Signer holds the key.

        Raises ConfigurationError if the device id contains ";", which a connection string cannot contain, or if the hub
        has a connection profile other than "classic".
        """

    def hub_credentials(self, *, password_life: float | timedelta | None = None) -> HubCredentials:
        """Returns the credentials of the device at its hub: client id, user name, and a password that is renewed.

        password_life is in seconds or a timedelta; an hour by default.

        Raises ConfigurationError if the hub has a connection profile other than "classic".
        """

@final
class RegistrationRecord:
    """The registration record that the service has for a registration id."""

    @property
    def status(self) -> str:
        """The status: "unassigned", "assigning", "assigned", "failed" or "disabled"."""

    @property
    def hub(self) -> str | None:
        """The host name of the hub, if assigned."""

    @property
    def device_id(self) -> str | None:
        """The device id at the hub, if assigned."""

    @property
    def substatus(self) -> str | None:
        """The substatus. For information only; the service can add values."""

    @property
    def error_code(self) -> int | None:
        """The service's six-digit error code, if failed."""

    @property
    def message(self) -> str | None:
        """The service's error message, if failed."""

    @property
    def connection_profile(self) -> str | None:
        """The protocol that the hub speaks: "classic" (MQTT 3.1.1) or "mqttV5"; the service can add values.

        None if not reported: only a client with connection_profile=True asks for it.
        """

    @property
    def payload(self) -> dict[str, Any] | None:
        """The payload that the service's allocation webhook returned: a new dict for each access, or None."""

@final
class HubCredentials:
    """MQTT client id, user name and password of the device at its hub."""

    @property
    def hub(self) -> str:
        """The host name of the hub."""

    @property
    def client_id(self) -> str:
        """The MQTT client id: the device id."""

    @property
    def user_name(self) -> str:
        """The MQTT user name."""

    @property
    def certificate(self) -> X509 | None:
        """The device's certificate, with which it signs in to the hub instead of a password; None if it has a key."""

    def password(self) -> HubPassword:
        """Returns the MQTT password, or over HTTPS the Authorization header. It is renewed before it expires.

        Raises ConfigurationError for a device with a certificate.
        """

    def password_async(self) -> Awaitable[HubPassword]:
        """The same as an awaitable: a Signer that is a coroutine function runs in the loop that awaits it."""

@final
class HubPassword:
    """A SAS token for the hub, and its expiry."""

    @property
    def expires_at(self) -> datetime:
        """The time at which the token expires, in UTC; reconnect with a new one before."""

    def expose(self) -> str:
        """Returns the token. The name makes every use easy to find."""

@final
class DeviceKeys:
    """Device keys that are derived on demand: an iterable of str, or an Arrow stream of strings.

    They can be iterated again if the ids can: those of a list or a column, not of a generator. len() is the number of
    ids.
    """

    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Returns the keys as an Arrow C stream of strings, such as for polars.Series(keys)."""

@disjoint_base
class Client:
    """The base class of ProvisioningClient and AsyncProvisioningClient, with their options.

    It checks every value and reads key files and certificates; nothing is sent. Times are in seconds, or a timedelta.

    id_scope: the id scope of the service, such as 0ne00A1B2C3.
    registration_id: 1 to 128 letters, digits and - . _ : in one spelling everywhere. Default: an X509's common name,
    or a Tpm's identity().registration_id, for which the TPM is read: that blocks, and Ctrl-C is handled afterwards.
    attestation: a SymmetricKey, a GroupKey, a Signer, an X509, a Pkcs11Key, a Tpm, or an IssuedIdentity, which is left
    out while it is not valid if there is a fallback. None keeps the place of an IssuedIdentity for set_issued, such as
    IdentityStore.load().identity before the first one was issued; it requires a fallback.
    fallback: more credentials, tried in this order, each at once when the service refuses the one before it: by status
    401 unless the device's clock is far off, by CONNACK 4 or 5, or by a TLS alert about the certificate (by two of them
    under TLS 1.2). They are never tried after another failure, such as a timeout, and share the timeout. The credential
    that was accepted is tried first the next time.
    first_credential: which one is tried first, 0 for attestation, 1 and more for fallback: the credential_index of an
    Assignment of a program that ran before.
    transport: "https" (port 443), "mqtt" (port 8883) or "mqtt-ws" (MQTT over WebSocket, port 443). Default: "https".
    endpoint: HOST, HOST:PORT or https://HOST. Default: the global endpoint.
    ca_file, ca_pem: the certificates to trust instead of the platform's, as a PEM file or its content.
    keep_platform_roots: whether to trust the platform's certificates too.
    proxy: the URL of a proxy, or False for no proxy. Default: HTTPS_PROXY in the environment, unless NO_PROXY names the
    host.
    timeout: the timeout of the whole registration. request_timeout: the timeout of one request or signature.
    poll_interval: the wait between polls if the service sends no hint. minimum_spacing: the shortest wait. Default: 1.
    token_life: the lifetime of tokens for the service. Default: an hour, or more if timeout requires it.
    correct_clock: whether to sign once more with the service's time if the device's clock is far off. Over MQTT, whose
    replies do not contain the time, it is read from the service's host by one HTTPS request without a credential.
    clock: a custom clock, used to make tokens and to check the server's certificate: a callable that returns seconds
    since 1970 or a datetime, or None if the time is not known. It must not block.
    service_time_port: over MQTT, the port of that request. Default: 443.
    keep_alive: the keep-alive of MQTT, in whole seconds.
    pipelined: over MQTT, whether to send everything in one flight, which saves two round trips.
    payload: a dict for the service's allocation webhook.
    certificate_request: a request for an issued certificate, as OperationalKey.certificate_request returns it. The
    default API version is then 2026-11-01, which has them.
    reply_limit: the largest reply that is accepted, in bytes. Default: 96 KiB, the service's own limit.
    seed: the seed of the jitter, for reproducible tests. Default: random.
    connection_profile: whether to ask which protocol the hub speaks: Assignment.connection_profile.
    api_version: the API version. Default: 2021-06-01 over HTTPS, 2019-03-31 over MQTT, 2026-11-02-preview with
    connection_profile. user_agent: the User-Agent of requests, or ClientVersion over MQTT.
    on_progress: called with a Progress before each step, and awaited if it is a coroutine function; the step begins
    once it returns. If it raises an exception, the registration ends and nothing more is sent.
    """

    def __new__(
        cls,
        *,
        id_scope: str,
        attestation: SymmetricKey | GroupKey | Signer | X509 | IssuedIdentity | Pkcs11Key | Tpm | None,
        registration_id: str | None = None,
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
        certificate_request: bytes | None = None,
        connection_profile: bool | None = None,
        fallback: Sequence[SymmetricKey | GroupKey | Signer | X509 | IssuedIdentity | Pkcs11Key | Tpm | None]
        | None = None,
        first_credential: int | None = None,
    ) -> Self: ...
    @property
    def registration_id(self) -> str:
        """The registration id."""

    def set_issued(self, identity: IssuedIdentity) -> None:
        """Replaces the IssuedIdentity, or the None in its place, after a registration or a renewal.

        Calls that start later try the credentials in their order again. Raises ConfigurationError if the client has no
        place for an IssuedIdentity, or if this one is for another registration id.
        """

    def hub_credentials(
        self,
        *,
        hub: str,
        device_id: str,
        connection_profile: str | None = None,
        credential_index: int | None = None,
        password_life: float | timedelta | None = None,
    ) -> HubCredentials:
        """Returns the credentials of the device at a hub that it was assigned to earlier; nothing is sent.

        hub, device_id, connection_profile and credential_index are those of an Assignment; connection_profile is None
        if it was not reported, credential_index is 0 by default. password_life is in seconds or a timedelta; an hour by
        default.

        Raises ConfigurationError for a connection profile other than "classic", ValueError for a credential_index that
        the client does not have.
        """

    def _register(self) -> Assignment: ...
    def _register_async(self) -> Awaitable[Assignment]: ...
    def _resume(self, resume_token: str) -> Assignment: ...
    def _resume_async(self, resume_token: str) -> Awaitable[Assignment]: ...
    def _lookup(self) -> RegistrationRecord: ...
    def _lookup_async(self) -> Awaitable[RegistrationRecord]: ...

@final
class Emulator:
    """A local provisioning service. Applications use dps_client.emulator.Emulator."""

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
        hub_profiles: list[tuple[str, Literal["classic", "mqttV5"]]],
        certificate_days: int,
        p384_only: bool,
        issuance_codes: Literal["current", "early"],
        webhook_hosts: list[str],
        webhook_roots: str | None,
        webhook_timeout: float | timedelta,
        derive_as_sent: bool,
        strict_at_connect: bool,
        check_expiry_on_poll: bool,
        clock_offset_ms: int,
        seed: int | None,
        state_dir: str | PathLike[str] | None,
    ) -> Self: ...
    @staticmethod
    def from_config(path: str | PathLike[str]) -> Emulator:
        """Starts one from a configuration file."""

    def stop(self) -> None:
        """Stops it and waits until its threads have ended and its files are closed, two seconds at most."""

    def ports(self) -> tuple[int, int, int]:
        """Returns the ports: HTTPS, MQTT, MQTT over WebSocket."""

    def host(self) -> str:
        """Returns the host name or address of its endpoints."""

    def ca_pem(self) -> str:
        """Returns the certificate that clients must trust."""

    def id_scope(self) -> str:
        """Returns the id scope."""

    def connection_string(self) -> Secret:
        """Returns the connection string for service clients."""

    def set_clock_offset_ms(self, offset_ms: int) -> None:
        """Sets the offset of the service's wall clock from the system's."""

    def advance_clock(self, time: float | timedelta) -> None:
        """Lets time pass on the service's clock at once."""

    def scale_clock(self, factor: int) -> None:
        """Divides what waits on the service's clock."""

    def unix_ms(self) -> int:
        """Returns the service's date, in milliseconds since 1970."""

    def put_enrollment(self, json: str) -> tuple[Secret, Secret] | None:
        """Creates or replaces an individual enrollment, in the service's JSON; returns its two keys, if it has any."""

    def put_group(self, json: str) -> tuple[Secret, Secret] | None:
        """Creates or replaces an enrollment group, in the service's JSON; returns its two keys, if it has any."""

    def enrollment_attestation(self, registration_id: str) -> tuple[str, tuple[Secret, Secret] | None] | None:
        """Returns the type of an individual enrollment's attestation, and its two keys, if it has any."""

    def group_attestation(self, group_id: str) -> tuple[str, tuple[Secret, Secret] | None] | None:
        """Returns the type of a group's attestation, and its two keys, if it has any."""

    def put_ca_certificate(self, name: str, pem: str, verified: bool) -> None:
        """Stores a CA certificate of the service, or replaces it."""

    def delete_ca_certificate(self, name: str) -> bool:
        """Deletes a CA certificate of the service; returns whether there was one."""

    def enable_enrollment(self, registration_id: str, enabled: bool) -> None:
        """Enables or disables an individual enrollment."""

    def enable_group(self, group_id: str, enabled: bool) -> None:
        """Enables or disables an enrollment group."""

    def delete_enrollment(self, registration_id: str) -> bool:
        """Deletes an individual enrollment and its record; returns whether there was one."""

    def delete_group(self, group_id: str) -> bool:
        """Deletes a group and the records of its devices; returns whether there was one."""

    def delete_record(self, registration_id: str) -> bool:
        """Deletes a device's registration record; returns whether there was one."""

    def link_hub(self, host: str, weight: int) -> None:
        """Links a hub, or changes its weight."""

    def unlink_hub(self, host: str) -> bool:
        """Unlinks a hub; returns whether it was linked."""

    def plan_fault(self, json: str) -> None:
        """Plans a fault, in the emulator's JSON."""

    def has_enrollment_for(self, registration_id: str) -> bool:
        """Returns whether an enrollment covers this id: an individual enrollment, or any group."""

    def planned_faults(self) -> str:
        """Returns the planned faults, oldest first, as JSON."""

    def clear_faults(self, registration_id: str | None) -> int:
        """Removes the planned faults of one registration, or all; returns how many there were."""

    def counters(self, registration_id: str | None) -> str:
        """Returns the counters of one registration, or of all together, as JSON."""

    def events(self, conditions: dict[str, Any]) -> str:
        """Returns the events that match, oldest first, as a JSON array with the line and the members of each."""

    def wait_for(self, conditions: dict[str, Any], timeout: float | timedelta) -> str | None:
        """Waits until an event matches, and returns the first one, as JSON like `events`; None after the timeout."""

    def last_event(self) -> int:
        """Returns the number of the latest event."""

    def reset_counters(self) -> None:
        """Resets all counters to zero."""

    def refusals(self) -> str:
        """Returns the latest refused credentials, oldest first, as JSON."""

    def record(self, registration_id: str) -> str | None:
        """Returns a device's registration record, as JSON; None if there is none."""

    def hub_device(self, hub: str, device_id: str) -> str | None:
        """Returns a device's entry in a hub, as JSON; None if there is no entry."""

    def hub_accepts(self, hub: str, device_id: str, token: str) -> bool:
        """Returns whether the hub would accept this SAS token of the device."""

def derive_device_key(group_key: str | Secret | GroupKey, registration_id: str) -> str:
    """Returns the key of one device of an enrollment group, as base64, to be stored on the device.

    group_key is a GroupKey, or its base64. The registration id is used exactly as it is spelled.

    >>> group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
    >>> derive_device_key(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
    'Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc='
    """

def derive_device_keys(
    group_key: str | Secret | GroupKey, ids: Iterable[str] | _ArrowArray | _ArrowStream
) -> DeviceKeys:
    """Returns the keys of many devices of an enrollment group, in the order of their registration ids.

    ids is any iterable of str, or one column of strings that supports Arrow's C data interface (of PyArrow, Polars,
    pandas and others). A generator is read in batches of up to 16384, so that memory use is constant; a list or a tuple
    is read one batch ahead, and must not be changed meanwhile. An invalid id raises ConfigurationError after the keys
    of the ids before it; as an Arrow stream, before the first key.

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
    """Returns a SAS token, which is a credential until it expires.

    It is for a device's registration (id_scope and registration_id, signed with the device's key), for a device at its
    hub (hub and device_id, signed with the device's key), or for the service's admin API (service and policy, signed
    with the policy's key). It expires at expires_at, Unix seconds or a datetime with a time zone, or after life,
    seconds or a timedelta, an hour by default.

    >>> key = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
    >>> sas_token(key, hub="hub-a.test", device_id="dev-01", expires_at=1767225600).split("&")[0]
    'SharedAccessSignature sr=hub-a.test%2Fdevices%2Fdev-01'
    """

def error_catalogue() -> list[tuple[int, str, str, str]]:
    """Returns every error of the catalogue: number, name, family and text."""

def hint_catalogue() -> list[tuple[str, str]]:
    """Returns every hint of the catalogue: name and text."""

def accept(
    *,
    command: list[str],
    transport: str,
    credential: str,
    only: list[str],
    skip: list[str],
    jobs: int,
    listen: str,
    host: str,
    ports: tuple[int, int, int],
    id_scope: str | None,
) -> tuple[str, str, str]:
    """Runs a device's command through the scenarios; returns the card as JSON, as text, as JUnit XML."""

def acceptance_scenarios() -> list[str]:
    """Returns the names of all scenarios, in their order."""

def fault_kinds() -> list[tuple[str, str]]:
    """Returns every kind of fault that the emulator supports: name and description."""
