// A device with a TPM, by the published Node.js client. Prints one JSON object.
// `identity` prints the registration id and the endorsement key of the TPM. `register HOST ID_SCOPE MQTT_PORT` registers over
// HTTPS and then signs in to the assigned hub, which listens on this port of HOST. The socket of the TPM comes in
// DPS_SWTPM_SOCKET, the certificate authority to trust in NODE_EXTRA_CA_CERTS.
'use strict';

const mqtt = require('mqtt');
const { Http } = require('azure-iot-provisioning-device-http');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { TpmSecurityClient } = require('azure-iot-security-tpm');
const swtpm = require('./swtpm.js');

const tpm = swtpm(process.env.DPS_SWTPM_SOCKET);
const security = new TpmSecurityClient('', tpm);
const called = (name, ...args) =>
  new Promise((resolve, reject) =>
    security[name](...args, (error, result) => (error ? reject(error) : resolve(result))));

async function identity() {
  const [registrationId, endorsementKey] = [await called('getRegistrationId'), await called('getEndorsementKey')];
  return { registrationId, endorsementKey: endorsementKey.toString('base64') };
}

async function register(host, idScope, port) {
  const client = ProvisioningDeviceClient.create(host, idScope, new Http(), security);
  const { registrationState } = await client.register();
  const { assignedHub, deviceId } = registrationState;
  await signIn(host, Number(port), assignedHub, deviceId);
  return { assignedHub, deviceId };
}

// Signs in with the key that the client has stored in the TPM.
async function signIn(host, port, hub, deviceId) {
  const resource = encodeURIComponent(`${hub}/devices/${deviceId}`);
  const expiry = Math.floor(Date.now() / 1000) + 3600;
  const signature = await called('signWithIdentity', Buffer.from(`${resource}\n${expiry}`));
  const sig = encodeURIComponent(signature.toString('base64'));
  const password = `SharedAccessSignature sr=${resource}&sig=${sig}&se=${expiry}`;
  const username = `${hub}/${deviceId}/?api-version=2021-04-12`;
  const connection = mqtt.connect({
    protocol: 'mqtts', host, port, clientId: deviceId, username, password, clean: true, reconnectPeriod: 0,
  });
  await new Promise((resolve, reject) => connection.on('connect', resolve).on('error', reject));
  connection.end(true);
}

const [command, ...rest] = process.argv.slice(2);
({ identity, register })[command](...rest).then(
  (result) => {
    console.log(JSON.stringify(result));
    process.exit(0);
  },
  (error) => {
    console.error(error.name, error.message);
    process.exit(1);
  },
);
