// A session's stream: frames over one WebSocket (src/ssh/browser_frames.h).
//   length (4 bytes, of what follows) · kind (1) · channel (4) · payload
const HEAD = 9;
const PAYLOAD_MAX = 64 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Stream {
  // handlers: ready(json), notice(text), ended({code, message})
  constructor(parameters, handlers) {
    this.handlers = handlers;
    this.channels = new Map();
    this.last = 0;
    this.rest = new Uint8Array(0);
    this.over = false;
    this.socket = new WebSocket(`wss://${location.host}/web/terminal?${new URLSearchParams(parameters)}`);
    this.socket.binaryType = 'arraybuffer';
    this.socket.addEventListener('message', (event) => this.take(new Uint8Array(event.data)));
    this.socket.addEventListener('close', () => this.end({
      code: 'ConnectionLost', message: 'The connection to the bastion is gone. Connect again.',
    }));
  }

  end(why) {
    if (this.over) return;
    this.over = true;
    for (const channel of this.channels.values()) channel.closed({ message: why.message });
    this.channels.clear();
    this.handlers.ended(why);
    this.socket.close();
  }

  send(kind, channel, payload) {
    if (this.over || this.socket.readyState !== WebSocket.OPEN) return;
    const bytes = typeof payload === 'string' ? encoder.encode(payload) : payload;
    for (let at = 0; at === 0 || at < bytes.length; at += PAYLOAD_MAX) {
      const part = bytes.subarray(at, at + PAYLOAD_MAX);
      const frame = new Uint8Array(HEAD + part.length);
      const view = new DataView(frame.buffer);
      view.setUint32(0, part.length + HEAD - 4);
      frame[4] = kind.charCodeAt(0);
      view.setUint32(5, channel);
      frame.set(part, HEAD);
      this.socket.send(frame);
    }
  }

  take(bytes) {
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    let at = 0;
    while (all.length - at >= HEAD) {
      const view = new DataView(all.buffer, at);
      const length = view.getUint32(0) + 4;
      if (all.length - at < length) break;
      this.handle(String.fromCharCode(all[at + 4]), view.getUint32(5), all.slice(at + HEAD, at + length));
      at += length;
    }
    this.rest = all.slice(at);
  }

  handle(kind, number, payload) {
    if (kind === 'd') {
      this.channels.get(number)?.data(payload);
      return;
    }
    const json = JSON.parse(decoder.decode(payload));
    if (kind === 'y') this.handlers.ready(json);
    if (kind === 'n') this.handlers.notice(json.message);
    if (kind === 'e') this.end(json);
    if (kind === 'x') {
      const channel = this.channels.get(number);
      this.channels.delete(number);
      channel?.closed(json);
    }
  }

  // handlers: data(bytes), closed({exitStatus, message})
  open(wish, handlers) {
    const number = ++this.last;
    this.channels.set(number, handlers);
    this.send('o', number, JSON.stringify(wish));
    return {
      send: (bytes) => this.send('d', number, bytes),
      resize: (columns, rows) => this.send('r', number, JSON.stringify({ columns, rows })),
      // So many bytes have been dealt with: the server sends no more than it knows to have been.
      taken: (count) => { if (count > 0) this.send('t', number, count.toString(16).padStart(8, '0')); },
      close: () => this.send('c', number, ''),
    };
  }

  close() { this.end({ code: 'ClientClosed', message: 'You have ended this session.' }); }
}
