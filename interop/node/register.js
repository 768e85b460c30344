// Registers one device with the published Node.js client and prints its hub and device id as JSON.
// Arguments: transport (http, mqtt or mqtt-ws), host, id scope, registration id. The device's key comes in DPS_KEY.
'use strict';

const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');

const TRANSPORTS = {
  http: () => new (require('azure-iot-provisioning-device-http').Http)(),
  mqtt: () => new (require('azure-iot-provisioning-device-mqtt').Mqtt)(),
  'mqtt-ws': () => new (require('azure-iot-provisioning-device-mqtt').MqttWs)(),
};

const [transport, host, idScope, registrationId] = process.argv.slice(2);
const security = new SymmetricKeySecurityClient(registrationId, process.env.DPS_KEY);
const client = ProvisioningDeviceClient.create(host, idScope, TRANSPORTS[transport](), security);

client.register((error, result) => {
  if (error) {
    console.error(error.name, error.message);
    process.exit(1);
  }
  console.log(JSON.stringify({ assignedHub: result.assignedHub, deviceId: result.deviceId }));
  process.exit(0);
});
