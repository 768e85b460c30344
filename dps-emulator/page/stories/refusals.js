// Seven stories of devices that are refused, or that do not behave: what the page says about each.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Device } from './emulator.js';

/** The device has the key of another one: the page names that device. */
async function wrongKeyNamed({ emulator, tab }) {
  await emulator.enroll('pump-1');
  const other = await emulator.enroll('pump-2');
  assert.notEqual((await emulator.register('pump-1', other)).code, 0);
  const event = await tab.openEvent('other-device-key');
  await tab.sees('signed with the key of another device', event);
  await tab.sees('the key of another device (pump-2)', event);
  await tab.sees('Give the device its own key', event);
}

/** The key of the group is on the device itself. */
async function groupKeyAsDeviceKey({ emulator, tab }) {
  const group = await emulator.enrollGroup('line-1');
  assert.notEqual((await emulator.register('pump-3', group)).code, 0);
  const event = await tab.openEvent('group-key-used');
  await tab.sees('signed with the group key itself instead of the key derived from it for this device', event);
  await tab.sees('not one derived from it (line-1)', event);
}

/** The clock of the device is two hours behind, so that its tokens have expired. */
async function clockSkew({ emulator, tab }) {
  const key = await emulator.enroll('pump-4');
  assert.notEqual((await emulator.register('pump-4', key, '--clock-offset', '-7200')).code, 0);
  const event = await tab.openEvent('expired');
  await tab.sees(/the token expired [0-9]+ ms ago by the service's clock/, event);
  await tab.sees(/UTC, .* before it arrived/, event);
}

/** The device polls before it was asked to. */
async function earlyPoll({ emulator, tab }) {
  await emulator.enroll('pump-5');
  const device = new Device(emulator, 'pump-5');
  const { body } = await device.register();
  await device.poll(body.operationId);
  await tab.go('devices', 'pump-5');
  await tab.sees(/register: 202 assigning, told to wait 1 s/);
  await (await tab.sees(/poll: 202 assigning, [0-9.]+ s too early/)).click();
  const event = tab.page.locator('aside.exchange');
  await tab.sees(/ms, .* too early/, event);
}

/** The device sends its own certificate without the intermediate above it. */
async function missingIntermediate({ emulator, tab, shot }) {
  const made = join(emulator.folder, 'certificates');
  await emulator.dps('x509', 'test-ca', '--out', made, '--registration-id', 'meter-1');
  await emulator.owner('emulator', 'certificate', 'add', 'root', '--file', join(made, 'root-ca.pem'));
  await emulator.owner('enrollment-group', 'create', '--group-id', 'meters', '--signing-cert-file', join(made, 'intermediate-ca.pem'));
  const [own] = /-----BEGIN[^]*?-----END CERTIFICATE-----\n/.exec(readFileSync(join(made, 'meter-1.pem'), 'utf8'));
  const register = (chain) => emulator.dps(
    'register', '--cert-file', chain, '--cert-key-file', join(made, 'meter-1.key.pem'),
    '--endpoint', emulator.endpoints.https, ...emulator.asDevice,
  );
  assert.notEqual((await register(emulator.write('meter-1-alone.pem', own))).code, 0);
  const event = await tab.openEvent('intermediate-missing');
  await tab.sees('the device must send every intermediate up to a verified CA certificate', event);
  await tab.sees('CN=meter-1', event.locator('.chain'));
  const subject = execFileSync('openssl', ['x509', '-in', join(made, 'intermediate-ca.pem'), '-noout', '-subject', '-nameopt', 'multiline']).toString();
  const [, name] = /commonName\s*= (.*)/.exec(subject);
  await tab.sees(`Missing or not verified: CN=${name}`, event.locator('.chain'));
  await shot('missing-intermediate');
  assert.equal((await register(join(made, 'meter-1.pem'))).code, 0);
  await tab.go('devices', 'meter-1');
  await tab.sees('this device is enrolled with x509');
}

/** The owner disables an enrollment on the page; the device is told so. */
async function disabledEnrollment({ emulator, tab }) {
  const key = await emulator.enroll('pump-6');
  await tab.go('enrollments', 'individual', 'pump-6');
  await tab.page.getByLabel('Enabled', { exact: true }).uncheck();
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await tab.sees('Saved');
  assert.notEqual((await emulator.register('pump-6', key)).code, 0);
  const event = await tab.openEvent('enrollment-disabled');
  await tab.sees('the enrollment is disabled', event);
  await tab.sees('Enable the enrollment.', event);
}

/** The device polls more often than the service accepts. */
async function throttling({ emulator, tab, shot }) {
  await emulator.enroll('pump-7');
  const device = new Device(emulator, 'pump-7');
  const { body } = await device.register();
  let status = 0;
  for (let polls = 0; polls < 6; polls += 1) ({ status } = await device.poll(body.operationId));
  assert.equal(status, 429);
  await tab.go('devices', 'pump-7');
  await tab.sees('Too many requests');
  const event = await tab.openEvent('throttled');
  await tab.sees('poll at most 5 times in 10 seconds', event);
  await tab.sees('Asked to wait', event);
  await event.getByRole('button', { name: 'Close' }).click();
  await tab.page.getByLabel('Search', { exact: true }).fill('');
  await tab.sees('connected, TLS 1.3', tab.grid());
  await shot('events');
}

export const REFUSALS = {
  wrongKeyNamed, groupKeyAsDeviceKey, clockSkew, earlyPoll, missingIntermediate, disabledEnrollment, throttling,
};
