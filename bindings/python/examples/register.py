"""Registers one device with the real service: ids from the command line, the key from a file.

register.py ID_SCOPE REGISTRATION_ID KEY_FILE
"""

import sys

from dps_client import DpsError, ProvisioningClient, SymmetricKey


def main(id_scope: str, registration_id: str, key_file: str) -> int:
    """Prints the hub, or the error and its likely causes."""
    try:
        client = ProvisioningClient(
            id_scope=id_scope,
            registration_id=registration_id,
            attestation=SymmetricKey.from_file(key_file),
            transport="mqtt",
        )
        assignment = client.register()
    except DpsError as error:
        print(error, file=sys.stderr)
        for hint in error.hints:
            print(f"- {hint.text}", file=sys.stderr)
        return 1
    print(f"{assignment.device_id} at {assignment.hub}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
