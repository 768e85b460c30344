// Manages enrollments with the published Node.js service client, and prints one JSON object per operation.
// The connection string comes in DPS_CONNECTION_STRING, the certificate authority to trust in NODE_EXTRA_CA_CERTS, a
// certificate to enroll in the file DPS_CERT_FILE. The
// devices dev-01 and, in the group line-7, line-7-a to line-7-c must be registered. The first operation that differs
// from what is expected is the last.
'use strict';

const assert = require('assert');
const { X509Certificate } = require('crypto');
const fs = require('fs');
const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');

const client = ProvisioningServiceClient.fromConnectionString(process.env.DPS_CONNECTION_STRING);
// The TPM2B_PUBLIC of an RSA key that has the attributes of endorsement keys.
const ENDORSEMENT_KEY = Buffer.concat([
  Buffer.from('011a 0001 000b 000300b2 0000 0006 0080 0043 0010 0800 00000000 0100'.replaceAll(' ', ''), 'hex'),
  Buffer.alloc(256, 255),
]).toString('base64');
const KINDS = {
  enrollment: { member: 'registrationId', name: 'IndividualEnrollment', certificates: 'clientCertificates' },
  group: { member: 'enrollmentGroupId', name: 'EnrollmentGroup', certificates: 'signingCertificates' },
};

async function operation(name, check) {
  try {
    await check();
  } catch (error) {
    console.log(JSON.stringify({ operation: name, problem: `${error.name}: ${error.message}` }));
    process.exit();
  }
  console.log(JSON.stringify({ operation: name }));
}

async function refused(status, promise) {
  const answer = await promise.then(
    () => 'it was not refused',
    (error) => (error.response ? error.response.statusCode : error)
  );
  assert.deepStrictEqual(answer, status);
}

async function pagesOf(query) {
  const pages = [];
  while (query.hasMoreResults) {
    // Without an argument the client asks for the first page again.
    pages.push((await query.next(query.continuationToken)).responseBody);
  }
  return pages;
}

/** The calls of the client for one kind of enrollment. */
function callsOf({ member, name }) {
  const call =
    (method) =>
    async (...args) =>
      (await client[method](...args))?.responseBody;
  return {
    put: call(`createOrUpdate${name}`),
    get: call(`get${name}`),
    remove: call(`delete${name}`),
    keys: call(`get${name}AttestationMechanism`),
    pages: () => pagesOf(client[`create${name}Query`]({ query: '*' }, 2)),
    record: (id) => ({ [member]: id, attestation: { type: 'symmetricKey' } }),
  };
}

/** The client resolves no promise of this call. */
function runBulk(mode, enrollments) {
  return new Promise((resolve, reject) => {
    client.runBulkEnrollmentOperation({ mode, enrollments }, (error, result) =>
      error ? reject(error) : resolve(result)
    );
  });
}

async function manage(kind) {
  const { member } = KINDS[kind];
  const calls = callsOf(KINDS[kind]);
  const [first, ...others] = [0, 1, 2, 3, 4, 5].map((number) => `interop-${kind}-${number}`);
  let made, got, changed;
  await operation(`${kind} create`, async () => {
    made = await calls.put(calls.record(first));
    assert.deepStrictEqual([made[member], made.provisioningStatus], [first, 'enabled']);
  });
  await operation(`${kind} get`, async () => {
    got = await calls.get(first);
    assert.deepStrictEqual([got[member], got.etag], [first, made.etag]);
    assert.strictEqual(got.attestation.type, 'symmetricKey');
  });
  await operation(`${kind} update by etag`, async () => {
    changed = await calls.put({ ...got, provisioningStatus: 'disabled' });
    assert.strictEqual(changed.provisioningStatus, 'disabled');
    assert.notStrictEqual(changed.etag, got.etag);
    assert.strictEqual((await calls.get(first)).provisioningStatus, 'disabled');
  });
  await operation(`${kind} update by stale etag`, async () => {
    await refused(412, calls.put({ ...got, provisioningStatus: 'enabled' }));
    assert.strictEqual((await calls.get(first)).etag, changed.etag);
  });
  await operation(`${kind} attestation mechanism`, async () => {
    assert.deepStrictEqual((await calls.keys(first)).symmetricKey, made.attestation.symmetricKey);
  });
  // The client has no bulk call for groups.
  if (kind === 'enrollment') {
    await bulk(calls, others);
  } else {
    for (const id of others) await calls.put(calls.record(id));
  }
  await operation(`${kind} query in pages`, async () => {
    const pages = await calls.pages();
    const ids = pages.flat().map((item) => item[member]);
    const sizes = pages.map((page) => page.length);
    assert.ok(sizes.slice(0, -1).every((size) => size === 2) && sizes.length === Math.ceil(ids.length / 2), `${sizes}`);
    assert.deepStrictEqual(ids.filter((id) => !['dev-01', 'line-7'].includes(id)).sort(), [first, ...others]);
  });
  await operation(`${kind} delete`, async () => {
    await refused(412, calls.remove(first, got.etag));
    await calls.remove(first, changed.etag);
    await refused(404, calls.get(first));
  });
  if (kind === 'enrollment') {
    await operation('enrollment bulk delete', async () => {
      const records = await Promise.all(others.map((id) => calls.get(id)));
      assert.strictEqual((await runBulk('delete', records)).isSuccessful, true);
      await refused(404, calls.get(others[0]));
    });
  } else {
    for (const id of others) await calls.remove(id);
  }
}

/** The service keeps the certificate, and returns what identifies it. */
async function certified(kind) {
  const { member, certificates } = KINDS[kind];
  const calls = callsOf(KINDS[kind]);
  const [id, certificate] = [`interop-${kind}-x509`, fs.readFileSync(process.env.DPS_CERT_FILE, 'utf8')];
  const thumbprint = new X509Certificate(certificate).fingerprint256.replaceAll(':', '');
  await operation(`${kind} X.509 create`, async () => {
    const x509 = { [certificates]: { primary: { certificate } } };
    assert.strictEqual((await calls.put({ [member]: id, attestation: { type: 'x509', x509 } }))[member], id);
  });
  await operation(`${kind} X.509 get`, async () => {
    const { attestation } = await calls.get(id);
    assert.strictEqual(attestation.type, 'x509');
    assert.strictEqual(attestation.x509[certificates].primary.info.sha256Thumbprint, thumbprint);
  });
  await operation(`${kind} X.509 delete`, async () => {
    await calls.remove(id);
    await refused(404, calls.get(id));
  });
}

/** The service keeps the endorsement key. */
async function withTpm() {
  const calls = callsOf(KINDS.enrollment);
  const [registrationId, tpm] = ['interop-enrollment-tpm', { endorsementKey: ENDORSEMENT_KEY }];
  await operation('enrollment TPM create', async () => {
    const made = await calls.put({ registrationId, attestation: { type: 'tpm', tpm } });
    assert.strictEqual(made.registrationId, registrationId);
  });
  await operation('enrollment TPM get', async () => {
    assert.deepStrictEqual((await calls.get(registrationId)).attestation, { type: 'tpm', tpm });
  });
  await operation('enrollment TPM delete', async () => {
    await calls.remove(registrationId);
    await refused(404, calls.get(registrationId));
  });
}

/** Create and update with one call. What fails is listed, and the others are done. */
async function bulk(calls, ids) {
  const records = ids.map(calls.record);
  await operation('enrollment bulk create', async () => {
    assert.strictEqual((await runBulk('create', records)).isSuccessful, true);
    const again = await runBulk('create', records.slice(0, 1));
    assert.deepStrictEqual([again.isSuccessful, again.errors[0].registrationId], [false, ids[0]]);
  });
  await operation('enrollment bulk update', async () => {
    const current = await Promise.all(ids.map((id) => calls.get(id)));
    const changed = current.map((record) => ({ ...record, provisioningStatus: 'disabled' }));
    assert.strictEqual((await runBulk('updateIfMatchETag', changed)).isSuccessful, true);
    const now = await Promise.all(ids.map((id) => calls.get(id)));
    assert.ok(now.every((record) => record.provisioningStatus === 'disabled'));
    const stale = await runBulk('updateIfMatchETag', changed);
    assert.deepStrictEqual(stale.errors.map((error) => error.registrationId), ids);
  });
}

async function registrations() {
  let state;
  await operation('registration get', async () => {
    state = (await client.getDeviceRegistrationState('dev-01')).responseBody;
    assert.deepStrictEqual([state.registrationId, state.status], ['dev-01', 'assigned']);
    assert.deepStrictEqual([state.assignedHub, state.deviceId], ['hub-a.test', 'dev-01']);
  });
  await operation('registration query in pages', async () => {
    const query = client.createEnrollmentGroupDeviceRegistrationStateQuery({ query: '*' }, 'line-7', 2);
    const pages = (await pagesOf(query)).map((page) => page.map((state) => state.registrationId));
    assert.deepStrictEqual(pages, [['line-7-a', 'line-7-b'], ['line-7-c']]);
  });
  await operation('registration delete', async () => {
    await refused(412, client.deleteDeviceRegistrationState('dev-01', 'IjAi'));
    await client.deleteDeviceRegistrationState('dev-01', state.etag);
    await refused(404, client.getDeviceRegistrationState('dev-01'));
  });
}

manage('enrollment')
  .then(() => manage('group'))
  .then(() => certified('enrollment'))
  .then(() => certified('group'))
  .then(withTpm)
  .then(registrations);
