// The client of SFTP version 3 (draft-ietf-secsh-filexfer-02) that the page is: what it asks goes to the machine on the
// session's own connection, past the bastion, which judges and records each operation.
const TYPE = { init: 1, version: 2, open: 3, close: 4, read: 5, write: 6, opendir: 11, readdir: 12, realpath: 16,
  stat: 17, status: 101, handle: 102, data: 103, name: 104, attrs: 105 };
const STATUS = { ok: 0, eof: 1 };
const MEANING = ['', 'the end of the file', 'there is no such file', 'permission denied', 'failed', 'bad message',
  'no connection', 'connection lost', 'not supported'];
const FLAG = { read: 1, write: 2, create: 8, truncate: 16 };
const PACKET_MAX = 1024 * 1024;
export const CHUNK = 32 * 1024; // what every server takes in one packet
const AT_ONCE = 8;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

class Writer {
  constructor() { this.parts = []; }
  add(bytes) { this.parts.push(bytes); return this; }
  byte(value) { return this.add(Uint8Array.of(value)); }
  number32(value) {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value);
    return this.add(bytes);
  }
  number64(value) { return this.number32(Math.floor(value / 2 ** 32)).number32(value % 2 ** 32); }
  string(value) {
    const bytes = typeof value === 'string' ? encoder.encode(value) : value;
    return this.number32(bytes.length).add(bytes);
  }
  bytes() {
    const all = new Uint8Array(this.parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.parts) { all.set(part, at); at += part.length; }
    return all;
  }
}

class Reader {
  constructor(bytes) { this.bytes = bytes; this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length); this.at = 0; }
  byte() { return this.view.getUint8(this.at++); }
  number32() { this.at += 4; return this.view.getUint32(this.at - 4); }
  number64() { return this.number32() * 2 ** 32 + this.number32(); }
  string() {
    const length = this.number32();
    if (length > this.bytes.length - this.at) throw new Error('the machine’s SFTP makes no sense');
    this.at += length;
    return this.bytes.slice(this.at - length, this.at);
  }
  text() { return decoder.decode(this.string()); }
  attributes() {
    const flags = this.number32();
    const found = {};
    if (flags & 1) found.size = this.number64();
    if (flags & 2) this.at += 8;
    if (flags & 4) found.mode = this.number32();
    if (flags & 8) { this.at += 4; found.changed = this.number32(); }
    if (flags & 0x80000000) for (let more = this.number32(); more > 0; --more) { this.string(); this.string(); }
    return found;
  }
}

export class Sftp {
  static async over(stream) {
    const client = new Sftp();
    client.waiting = new Map();
    client.next = 0;
    client.rest = new Uint8Array(0);
    const begun = new Promise((resolve, reject) => { client.begin = { resolve, reject }; });
    client.channel = stream.open({ what: 'sftp' }, {
      data: (bytes) => client.take(bytes),
      closed: ({ message }) => client.fail(message ?? 'The machine has ended the transfer.'),
    });
    client.send(TYPE.init, new Writer().number32(3).bytes());
    await begun;
    return client;
  }

  fail(message) {
    const error = new Error(message);
    this.begin.reject(error);
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
    this.failed = error;
  }

  send(type, bytes) {
    this.channel.send(new Writer().number32(bytes.length + 1).byte(type).add(bytes).bytes());
  }
  ask(type, fill) {
    if (this.failed) return Promise.reject(this.failed);
    this.next = (this.next + 1) % 2 ** 32;
    const id = this.next;
    const writer = new Writer().number32(id);
    fill(writer);
    this.send(type, writer.bytes());
    return new Promise((resolve, reject) => { this.waiting.set(id, { resolve, reject }); });
  }

  take(bytes) {
    this.channel.taken(bytes.length);
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    let at = 0;
    while (all.length - at >= 4) {
      const length = new DataView(all.buffer, at).getUint32(0);
      if (length < 1 || length > PACKET_MAX) { this.fail('The machine’s SFTP makes no sense.'); return; }
      if (all.length - at < length + 4) break;
      try {
        this.answer(new Reader(all.slice(at + 4, at + 4 + length)));
      } catch (error) {
        this.fail(error.message);
        return;
      }
      at += length + 4;
    }
    this.rest = all.slice(at);
  }

  answer(reader) {
    const type = reader.byte();
    if (type === TYPE.version) { this.begin.resolve(); return; }
    const id = reader.number32();
    const asked = this.waiting.get(id);
    this.waiting.delete(id);
    if (!asked) return;
    if (type !== TYPE.status) { asked.resolve({ type, reader }); return; }
    const code = reader.number32();
    const said = reader.text();
    if (code === STATUS.ok || code === STATUS.eof) asked.resolve({ type, eof: code === STATUS.eof });
    else asked.reject(Object.assign(new Error(said || MEANING[code] || 'failed'), { code }));
  }

  async realpath(path) {
    const { reader } = await this.ask(TYPE.realpath, (to) => to.string(path));
    reader.number32();
    return reader.text();
  }
  async stat(path) {
    const { reader } = await this.ask(TYPE.stat, (to) => to.string(path));
    return reader.attributes();
  }
  async open(type, fill) {
    const { reader } = await this.ask(type, fill);
    return reader.string();
  }
  close(handle) { return this.ask(TYPE.close, (to) => to.string(handle)); }

  async list(path) {
    const handle = await this.open(TYPE.opendir, (to) => to.string(path));
    const entries = [];
    try {
      for (;;) {
        const { eof, reader } = await this.ask(TYPE.readdir, (to) => to.string(handle));
        if (eof) break;
        for (let count = reader.number32(); count > 0; --count) {
          const name = reader.text();
          reader.string();
          entries.push({ name, ...reader.attributes() });
        }
      }
    } finally {
      await this.close(handle);
    }
    return entries;
  }

  // `read(offset, length)` answers bytes of what is sent; `told(bytes)` hears how far it has come.
  async upload(path, size, read, told) {
    const handle = await this.open(TYPE.open,
      (to) => to.string(path).number32(FLAG.write | FLAG.create | FLAG.truncate).number32(0));
    const running = [];
    try {
      for (let offset = 0; offset < size; offset += CHUNK) {
        const part = await read(offset, Math.min(CHUNK, size - offset));
        const at = offset;
        running.push(this.ask(TYPE.write, (to) => to.string(handle).number64(at).string(part)));
        if (running.length >= AT_ONCE) await running.shift();
        told(offset + part.length);
      }
      await Promise.all(running);
    } finally {
      await Promise.allSettled(running);
      await this.close(handle);
    }
  }

  // `write(bytes)` takes them in their order, and may be waited for.
  async download(path, write, told) {
    const { size = 0 } = await this.stat(path);
    const handle = await this.open(TYPE.open, (to) => to.string(path).number32(FLAG.read).number32(0));
    const whole = async (offset, length) => {
      const parts = [];
      for (let got = 0; got < length;) {
        const from = offset + got;
        const { eof, reader } = await this.ask(TYPE.read,
          (to) => to.string(handle).number64(from).number32(length - got));
        if (eof) break;
        const bytes = reader.string();
        if (bytes.length === 0) break;
        parts.push(bytes);
        got += bytes.length;
      }
      return parts;
    };
    const running = [];
    let done = 0;
    try {
      for (let offset = 0; offset < size || running.length > 0;) {
        while (offset < size && running.length < AT_ONCE) {
          running.push(whole(offset, Math.min(CHUNK, size - offset)));
          offset += CHUNK;
        }
        for (const part of await running.shift()) {
          await write(part);
          done += part.length;
        }
        told(done, size);
      }
    } finally {
      await Promise.allSettled(running);
      await this.close(handle);
    }
    return done;
  }
}
