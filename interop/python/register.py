"""Registers one device with the published Python client and prints its hub and device id as JSON.

Arguments: transport (mqtt or mqtt-ws), host, id scope, registration id. The device's key comes in DPS_KEY.
"""

import json
import os
import sys

from azure.iot.device import ProvisioningDeviceClient


def main() -> None:
    transport, host, id_scope, registration_id = sys.argv[1:]
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        provisioning_host=host,
        registration_id=registration_id,
        id_scope=id_scope,
        symmetric_key=os.environ["DPS_KEY"],
        websockets=transport == "mqtt-ws",
    )
    result = client.register()
    if result.status != "assigned":
        sys.exit(f"the status is {result.status}")
    state = result.registration_state
    print(json.dumps({"assignedHub": state.assigned_hub, "deviceId": state.device_id}))


if __name__ == "__main__":
    main()
