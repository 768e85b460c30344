// A TPM for tss.js: swtpm, which listens on a Unix socket. tss.js itself knows /dev/tpm0 and the simulator of Microsoft, whose
// protocol swtpm does not speak: swtpm exchanges plain TPM commands.
'use strict';

const net = require('net');
const { Tpm } = require('tss.js');

const HEADER = 10;

class Swtpm {
  constructor(path) {
    this.path = path;
  }

  connect(continuation) {
    this.socket = net.connect(this.path, () => continuation(null));
    this.socket.on('error', (error) => this.end(error));
    this.socket.on('close', () => this.end(new Error('swtpm closed the connection')));
    this.socket.on('data', (bytes) => this.receive(bytes));
    return null;
  }

  // One command at a time; its response has its length at offset 2.
  dispatchCommand(command, continuation) {
    this.response = Buffer.alloc(0);
    this.continuation = continuation;
    this.socket.write(command);
  }

  receive(bytes) {
    this.response = Buffer.concat([this.response, bytes]);
    if (this.response.length >= HEADER && this.response.length >= this.response.readUInt32BE(2)) this.end(null);
  }

  end(error) {
    const { continuation } = this;
    this.continuation = null;
    if (continuation) setImmediate(continuation, error, this.response);
  }

  close() {
    this.socket.destroy();
  }
}

module.exports = (path) => {
  const tpm = new Tpm(false);
  tpm.device = new Swtpm(path);
  return tpm;
};
