"""Registers one device that has an X.509 certificate: the registration id is the certificate's common name.

register_x509.py ID_SCOPE CERTIFICATE_FILE KEY_FILE [PASSPHRASE_FILE]
"""

import sys

from dps_client import X509, DpsError, ProvisioningClient


def main(id_scope: str, certificate_file: str, key_file: str, passphrase_file: str | None = None) -> int:
    """Prints the hub, or the error and its likely causes."""
    try:
        device = X509.from_files(certificate_file, key_file, passphrase_file=passphrase_file)
        client = ProvisioningClient(id_scope=id_scope, attestation=device, transport="mqtt")
        assignment = client.register()
    except DpsError as error:
        print(error, file=sys.stderr)
        for hint in error.hints:
            print(f"- {hint.text}", file=sys.stderr)
        return 1
    print(f"{assignment.device_id} at {assignment.hub}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
