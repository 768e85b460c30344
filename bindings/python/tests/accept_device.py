"""A device for acceptance runs: registers with the settings in its environment, and with the package's defaults."""

import os
import sys

from dps_client import DpsError, ProvisioningClient, SymmetricKey
from dps_client.acceptance import Transport


def main() -> int:
    transports: dict[str, Transport] = {"https": "https", "mqtt": "mqtt", "mqtt-ws": "mqtt-ws"}
    try:
        client = ProvisioningClient(
            id_scope=os.environ["DPS_ID_SCOPE"],
            registration_id=os.environ["DPS_REGISTRATION_ID"],
            attestation=SymmetricKey.from_file(os.environ["DPS_KEY_FILE"]),
            transport=transports[os.environ["DPS_TRANSPORT"]],
            endpoint=os.environ["DPS_ENDPOINT"],
            ca_file=os.environ["DPS_CA_FILE"],
            proxy=False,
        )
        print(client.register().hub)
    except DpsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
