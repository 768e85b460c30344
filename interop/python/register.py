"""Registers one device with the published Python client and prints its hub and device id as JSON.

Arguments: transport (mqtt or mqtt-ws), host, id scope, registration id. The device's key comes in DPS_KEY, or
its certificate and private key in the files DPS_CERT_FILE and DPS_CERT_KEY_FILE.
"""

import json
import os
import sys

from azure.iot.device import X509, ProvisioningDeviceClient


def main() -> None:
    transport, host, id_scope, registration_id = sys.argv[1:]
    device = {
        "provisioning_host": host,
        "registration_id": registration_id,
        "id_scope": id_scope,
        "websockets": transport == "mqtt-ws",
    }
    if certificate := os.environ.get("DPS_CERT_FILE"):
        x509 = X509(certificate, os.environ["DPS_CERT_KEY_FILE"])
        client = ProvisioningDeviceClient.create_from_x509_certificate(x509=x509, **device)
    else:
        client = ProvisioningDeviceClient.create_from_symmetric_key(symmetric_key=os.environ["DPS_KEY"], **device)
    result = client.register()
    if result.status != "assigned":
        sys.exit(f"the status is {result.status}")
    state = result.registration_state
    print(json.dumps({"assignedHub": state.assigned_hub, "deviceId": state.device_id}))


if __name__ == "__main__":
    main()
