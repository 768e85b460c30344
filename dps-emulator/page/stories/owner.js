// Stories of an owner who works with the page: hubs, faults, enrollments, commands.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from './emulator.js';

/** The enrollment gets another hub; the device registers again and is there, with its twin. */
async function movedToAnotherHub({ emulator, tab, shot }) {
  const key = await emulator.enroll('valve-1', '--hub', 'hub-a.test', '--initial-twin-tags', '{"site":"north"}');
  assert.equal((await emulator.register('valve-1', key)).code, 0);
  await tab.go('enrollments', 'individual', 'valve-1');
  await tab.page.getByLabel('hub-a.test').uncheck();
  await tab.page.getByLabel('hub-b.test').check();
  await tab.page.getByRole('button', { name: 'Save' }).click();
  await tab.sees('Saved');
  assert.equal((await emulator.register('valve-1', key, '--transport', 'mqtt')).code, 0);
  await tab.go('devices', 'valve-1');
  await tab.sees('deviceDataMigrated');
  await tab.page.getByRole('heading', { name: 'In hub-b.test' }).waitFor();
  await tab.sees('"site": "north"');
  assert.equal(await tab.page.getByRole('heading', { name: 'In hub-a.test' }).count(), 0);
  await tab.sees('poll: 200 assigned to hub-a.test');
  await (await tab.sees('poll: 200 assigned to hub-b.test')).waitFor();
  await shot('device');
  await tab.go('hubs', 'hub-b.test');
  await tab.page.getByRole('grid').getByText('valve-1').click();
  await tab.sees('"site": "north"');
}

/** A fault is planned on the page; the device meets it and succeeds after it. */
async function faultPlannedAndMet({ emulator, tab }) {
  const key = await emulator.enroll('valve-2');
  await tab.go('faults');
  const { page } = tab;
  await page.getByLabel('Kind').selectOption('throttle');
  await page.getByLabel('At', { exact: true }).selectOption('register');
  await page.getByLabel('Registration id').fill('valve-2');
  await page.getByLabel('Retry-After, in seconds').fill('1');
  await page.getByRole('button', { name: 'Plan', exact: true }).click();
  await tab.sees('1 of 1');
  assert.equal((await emulator.register('valve-2', key)).code, 0);
  await tab.sees('No fault is planned.');
  const event = await tab.openEvent('planned-fault');
  await tab.sees('a fault was planned for this request', event);
  await tab.go('devices', 'valve-2');
  await tab.sees('fault met: throttle at register');
  await tab.sees(/poll: 200 assigned to hub-[ab].test/);
}

/** An enrollment is created on the page; its key is shown, and a device registers with it. */
async function enrollmentCreatedAndUsed({ emulator, tab }) {
  const { page } = tab;
  await tab.go('enrollments', 'individual');
  await page.getByRole('button', { name: 'New enrollment' }).click();
  await page.getByLabel('Registration id').fill('valve-3');
  await page.getByLabel('Tags of the initial twin (JSON)').fill('{"floor": 2}');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('button', { name: 'Show keys' }).waitFor();
  const { enrollment } = JSON.parse(await emulator.owner('enrollment', 'show', '--registration-id', 'valve-3', '--show-keys', '--json'));
  const { primaryKey, secondaryKey } = enrollment.attestation.symmetricKey;
  emulator.keys.set('valve-3', primaryKey).set('valve-3 secondary', secondaryKey);
  await tab.hasNoKey();
  await page.getByRole('button', { name: 'Show keys' }).click();
  const shown = await page.locator('.key code').first().textContent();
  assert.equal(shown, primaryKey);
  await page.getByRole('button', { name: 'Hide keys' }).click();
  await tab.hasNoKey();
  await page.getByRole('button', { name: 'Show keys' }).click();
  await page.locator('.key code').first().waitFor();
  await tab.go('events');
  await page.getByRole('heading', { name: 'Events' }).waitFor();
  await tab.hasNoKey();
  await deviceIdSetAndRemoved(emulator, tab);
  assert.equal((await emulator.register('valve-3', emulator.write('valve-3.key', shown))).code, 0);
  await tab.go('devices');
  await page.getByLabel('Search devices, enrollments and hubs').fill('VALVE-3');
  await page.getByRole('status').getByText('1 device found').waitFor();
  await tab.sees('assigned', tab.grid());
  await tab.go('enrollments', 'individual', 'valve-3');
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('button', { name: 'Yes' }).click();
  await page.getByRole('button', { name: 'Delete', exact: true }).waitFor({ state: 'detached' });
  assert.notEqual((await emulator.register('valve-3', join(emulator.folder, 'valve-3.key'))).code, 0);
}

/** A field that is emptied is removed from the enrollment. */
async function deviceIdSetAndRemoved(emulator, tab) {
  await tab.go('enrollments', 'individual', 'valve-3');
  for (const deviceId of ['pump', '']) {
    await tab.page.getByLabel('Device id at the hub').fill(deviceId);
    await tab.page.getByRole('button', { name: 'Save' }).click();
    await tab.sees('Saved');
    const { enrollment } = JSON.parse(await emulator.owner('enrollment', 'show', '--registration-id', 'valve-3', '--json'));
    assert.equal(enrollment.deviceId ?? '', deviceId);
  }
}

/** Each command, copied from the page and pasted into a shell, registers the device. */
async function copiedCommandWorks({ emulator, tab, tools, shot }) {
  const { page } = tab;
  await emulator.enroll('valve-4');
  await emulator.enrollGroup('valves');
  const used = { dps: true, curl: true, C: tools.library !== undefined, Python: tools.python !== undefined };
  for (const [client, isUsed] of Object.entries(used)) {
    if (!isUsed) {
      console.log(`SKIPPED: the command for ${client}, whose library is not built`);
      continue;
    }
    const isOfGroup = client === 'dps';
    await tab.go('commands', isOfGroup ? 'groups' : 'individual', isOfGroup ? 'valves' : 'valve-4');
    if (isOfGroup) await page.getByLabel('Registration id').fill('valve-5');
    await page.getByText(client, { exact: true }).click();
    const copy = page.getByRole('button', { name: 'Copy: In a shell on this machine' });
    await copy.click();
    await tab.sees('Copied');
    if (client === 'dps') await shot('commands');
    const text = await page.evaluate(() => navigator.clipboard.readText());
    const { code, stdout, stderr } = await paste(emulator, tools, client, text);
    assert.equal(code, 0, `${text}\n${stdout}${stderr}`);
    assert.match(stdout, client === 'curl' ? /"status":"assigning"/ : /hub-[ab]\.test/, `${text}\n${stdout}${stderr}`);
  }
  await page.getByLabel('Emulator’s container').fill('dps');
  await tab.sees('docker exec dps dps emulator ca > ca.pem');
  await tab.sees('(umask 077; docker exec dps dps emulator connection-string > owner)');
  await page.getByText('Board', { exact: true }).click();
  await tab.sees('Enter the address of the emulator as the device sees it');
  await page.getByLabel('Address of the emulator for the device').fill('192.0.2.7');
  await tab.sees('192.0.2.7:', page.locator('.shell').nth(1));
}

/** What an installation of the C library consists of, for programs that are linked with that of the build directory. */
function install(library, include, folder) {
  mkdirSync(folder);
  const file = join(library, 'libdps.so');
  const [, name] = /SONAME.*\[(.*)\]/.exec(execFileSync('readelf', ['-d', file]).toString());
  symlinkSync(file, join(folder, 'libdps.so'));
  symlinkSync(file, join(folder, name));
  const libs = `Libs: -L${folder} -ldps -Wl,-rpath,${folder}`;
  const lines = ['Name: dps', 'Description: dps', 'Version: 0', `Cflags: -I${include} -DDPS_HOSTED`, libs];
  writeFileSync(join(folder, 'dps.pc'), `${lines.join('\n')}\n`);
}

/** Runs the text in a shell of its own, in an empty directory, where `dps`, the C library and the Python package are installed. */
async function paste(emulator, { library, include, python, packages }, client, text) {
  const folder = join(emulator.folder, `shell-${client}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const pkgConfig = join(emulator.folder, 'pkgconfig');
  if (library !== undefined && !existsSync(pkgConfig)) install(library, include, pkgConfig);
  const path = [dirname(emulator.program), ...(python === undefined ? [] : [dirname(python)]), process.env.PATH].join(':');
  const env = { ...process.env, PATH: path, PKG_CONFIG_PATH: pkgConfig, ...(packages && { PYTHONPATH: packages }) };
  return run('bash', ['-e', '-c', text], { cwd: folder, env });
}

export const OWNER = { movedToAnotherHub, faultPlannedAndMet, enrollmentCreatedAndUsed, copiedCommandWorks };
