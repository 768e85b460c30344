"""Azure IoT Hub Device Provisioning: registers devices, derives their keys, and has a local service for tests.

>>> group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
>>> derive_device_key(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
'Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc='

``dps_client.emulator`` is the local service, ``dps_client.errors`` has the exceptions. Log records are sent to the
logger ``dps_client``; they never contain keys, tokens or signatures.
"""

from dps_client._client import AsyncProvisioningClient, ProvisioningClient
from dps_client._native import (
    X509,
    Assignment,
    Client,
    DeviceKeys,
    GroupKey,
    HubCredentials,
    HubPassword,
    HubRenewal,
    IdentityStore,
    IssuedIdentity,
    LoadedIdentity,
    OperationalKey,
    Pkcs11Key,
    Progress,
    RegistrationRecord,
    Secret,
    Signer,
    SymmetricKey,
    Tpm,
    TpmIdentity,
    __version__,
    derive_device_key,
    derive_device_keys,
    sas_token,
)
from dps_client.errors import (
    ConfigurationError,
    DpsError,
    Hint,
    LinkError,
    LocalError,
    MisuseError,
    ServiceError,
)

__all__ = [
    "X509",
    "Assignment",
    "AsyncProvisioningClient",
    "Client",
    "ConfigurationError",
    "DeviceKeys",
    "DpsError",
    "GroupKey",
    "Hint",
    "HubCredentials",
    "HubPassword",
    "HubRenewal",
    "IdentityStore",
    "IssuedIdentity",
    "LinkError",
    "LoadedIdentity",
    "LocalError",
    "MisuseError",
    "OperationalKey",
    "Pkcs11Key",
    "Progress",
    "ProvisioningClient",
    "RegistrationRecord",
    "Secret",
    "ServiceError",
    "Signer",
    "SymmetricKey",
    "Tpm",
    "TpmIdentity",
    "__version__",
    "derive_device_key",
    "derive_device_keys",
    "sas_token",
]
