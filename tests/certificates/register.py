"""Registers one device that has a certificate, and prints its device id.

Arguments: transport, endpoint, id scope, certificate authority to trust, certificate, private key.
"""

import sys

from dps_client import X509, ProvisioningClient


def main() -> None:
    transport, endpoint, id_scope, ca_file, certificate, key = sys.argv[1:]
    client = ProvisioningClient(
        id_scope=id_scope,
        attestation=X509.from_files(certificate, key),
        transport=transport,
        endpoint=endpoint,
        ca_file=ca_file,
        proxy=False,
    )
    print(client.register().device_id)


if __name__ == "__main__":
    main()
