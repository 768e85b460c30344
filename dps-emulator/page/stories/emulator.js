// An emulator under test, its owner, and devices.
import { execFile, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** How long a command may take, in milliseconds, on a machine that is busy. */
const COMMAND_MS = 60_000;

/** A running `dps emulator`. */
export class Emulator {
  /** Starts one with its files below the folder; options are those of the command line. */
  static async start(program, folder, options = []) {
    const emulator = new Emulator();
    Object.assign(emulator, { program, folder, keys: new Map() });
    mkdirSync(folder, { recursive: true });
    const words = ['emulator', '--json', '--state', join(folder, 'state'), ...options];
    emulator.process = spawn(program, words, { stdio: ['ignore', 'pipe', 'ignore'] });
    const lines = createInterface({ input: emulator.process.stdout })[Symbol.asyncIterator]();
    const { value: line } = await lines.next();
    if (line === undefined) throw new Error(`the emulator did not start: dps ${words.join(' ')}`);
    const ready = JSON.parse(line);
    Object.assign(emulator, {
      link: ready.pageUrl,
      origin: new URL(ready.pageUrl).origin,
      idScope: ready.idScope,
      endpoints: ready.endpoints,
      ca: readFileSync(ready.caFile),
      asOwner: ['--connection-string-file', ready.connectionStringFile, '--ca-file', ready.caFile],
      asDevice: ['--id-scope', ready.idScope, '--ca-file', ready.caFile],
    });
    emulator.policyKey = /SharedAccessKey=(.*)/.exec(readFileSync(ready.connectionStringFile, 'utf8'))[1].trim();
    return emulator;
  }

  /** Ends it as Ctrl-C does. */
  async stop() {
    if (this.process.exitCode !== null) return;
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGTERM');
    await ended;
  }

  /** Runs a command of `dps`; resolves to its exit code and output. */
  dps(...words) {
    return run(this.program, words, { cwd: this.folder });
  }

  /** Runs a command of the owner, which must succeed. */
  async owner(...words) {
    const { code, stdout, stderr } = await this.dps(...words, ...this.asOwner);
    if (code !== 0) throw new Error(`dps ${words.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** Makes another link to the page. */
  async newLink() {
    return JSON.parse(await this.owner('emulator', 'ui', '--json')).url;
  }

  /** Creates an individual enrollment, and returns the file of its key. */
  enroll(id, ...more) {
    return this.#create(['enrollment', 'create', '--registration-id', id], id, more);
  }

  /** Creates a group, and returns the file of its key. */
  enrollGroup(id, ...more) {
    return this.#create(['enrollment-group', 'create', '--group-id', id], id, more);
  }

  async #create(words, id, more) {
    const file = join(this.folder, `${id}.key`);
    rmSync(file, { force: true });
    await this.owner(...words, '--key-out', file, ...more);
    this.keys.set(id, readFileSync(file, 'utf8').trim());
    return file;
  }

  /** Registers a device by `dps`. */
  register(id, keyFile, ...more) {
    const endpoint = more.includes('mqtt') ? this.endpoints.mqtt : this.endpoints.https;
    return this.dps('register', '--registration-id', id, '--key-file', keyFile, '--endpoint', endpoint, ...this.asDevice, ...more);
  }

  /** Every key that a page must not show before it is asked for. */
  secrets() {
    return [this.policyKey, ...this.keys.values()];
  }

  /** A file in the emulator's folder. */
  write(name, content) {
    const file = join(this.folder, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  }
}

/** Runs a program to its end. */
export function run(program, words, options = {}) {
  return new Promise((resolve) => {
    execFile(program, words, { timeout: COMMAND_MS, maxBuffer: 1 << 24, ...options }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? 1) : 0, stdout, stderr });
    });
  });
}

/** A device that makes single calls over HTTPS, when it likes. */
export class Device {
  constructor(emulator, id, userAgent = 'story') {
    Object.assign(this, { emulator, id, userAgent });
    const resource = `${emulator.idScope}%2Fregistrations%2F${encodeURIComponent(id)}`;
    const expiry = Math.floor(Date.now() / 1000) + 3600;
    const key = Buffer.from(emulator.keys.get(id), 'base64');
    const signature = createHmac('sha256', key).update(`${resource}\n${expiry}`).digest('base64');
    this.token = `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}`;
  }

  register(payload) {
    return this.call('PUT', 'register', JSON.stringify({ registrationId: this.id, payload }));
  }

  poll(operationId) {
    return this.call('GET', `operations/${operationId}`);
  }

  call(method, path, body) {
    const [host, port] = this.emulator.endpoints.https.split(':');
    const headers = { Authorization: this.token, 'User-Agent': this.userAgent, 'Content-Type': 'application/json' };
    const options = {
      host, port, method, headers, ca: this.emulator.ca, timeout: COMMAND_MS,
      path: `/${this.emulator.idScope}/registrations/${encodeURIComponent(this.id)}/${path}?api-version=2021-06-01`,
    };
    return new Promise((resolve, reject) => {
      const sent = request(options, async (reply) => {
        let text = '';
        for await (const piece of reply) text += piece;
        resolve({ status: reply.statusCode, body: JSON.parse(text) });
      });
      sent.on('timeout', () => sent.destroy(new Error('no reply')));
      sent.on('error', reject);
      sent.end(body);
    });
  }
}
