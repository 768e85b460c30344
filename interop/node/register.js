// Registers one device with the published Node.js client and prints its hub and device id as JSON.
// Arguments: transport (http, mqtt or mqtt-ws), host, id scope, registration id. The device's key comes in DPS_KEY, or its
// certificate and private key in the files DPS_CERT_FILE and DPS_CERT_KEY_FILE.
'use strict';

const fs = require('fs');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { X509Security } = require('azure-iot-security-x509');

const TRANSPORTS = {
  http: () => new (require('azure-iot-provisioning-device-http').Http)(),
  mqtt: () => new (require('azure-iot-provisioning-device-mqtt').Mqtt)(),
  'mqtt-ws': () => new (require('azure-iot-provisioning-device-mqtt').MqttWs)(),
};

const [transport, host, idScope, registrationId] = process.argv.slice(2);
const { DPS_KEY, DPS_CERT_FILE, DPS_CERT_KEY_FILE } = process.env;
const text = (file) => fs.readFileSync(file, 'utf8');
const security = DPS_CERT_FILE
  ? new X509Security(registrationId, { cert: text(DPS_CERT_FILE), key: text(DPS_CERT_KEY_FILE) })
  : new SymmetricKeySecurityClient(registrationId, DPS_KEY);
const client = ProvisioningDeviceClient.create(host, idScope, TRANSPORTS[transport](), security);

client.register((error, result) => {
  if (error) {
    console.error(error.name, error.message);
    process.exit(1);
  }
  console.log(JSON.stringify({ assignedHub: result.assignedHub, deviceId: result.deviceId }));
  process.exit(0);
});
