// What of a recording's output may reach the terminal that plays it: text, colours, cursor moves, erasing, scrolling
// and the alternate screen. Everything else is left out: queries, the clipboard (OSC 52), titles, links, notifications
// (all OSC, DCS, APC, PM, SOS), keyboard and mouse modes. A list of what passes; cut anywhere. The rules are those of
// src/recording/terminal_guard.cpp, for text in place of bytes. Nothing that the terminal says is listened to either,
// so this is the first of two walls.
const SEQUENCE_MAX = 128;
const PLAIN_FINALS = '@ABCDEFGHIJKLMPSTXZ`abdefgmr';
const PICTURE_MODES = new Set(['5', '6', '7', '12', '25', '47', '69', '1047', '1048', '1049']);

const isControl = (c) => c < ' ' || c === '\u007f';
const passesAlone = (c) => c >= '\b' && c <= '\r';
const isPlain = (text) => /^[0-9;:]*$/.test(text);

function passes(sequence) {
  if (sequence.length < 3) return false;
  const final = sequence.at(-1);
  const parameters = sequence.slice(2, -1);
  if (final === 'h' || final === 'l') {
    if (parameters === '4') return true;
    return parameters.startsWith('?') && parameters.slice(1).split(';').every((mode) => PICTURE_MODES.has(mode));
  }
  if (final === 's' || final === 'u') return parameters === '';
  if (final === 'p') return parameters === '!';
  if (final === 'q') return parameters.endsWith(' ') && isPlain(parameters.slice(0, -1));
  if (final === 'J' || final === 'K') return isPlain(parameters.replace(/^\?/, ''));
  if (final === 'T' && parameters.includes(';')) return false;
  return PLAIN_FINALS.includes(final) && isPlain(parameters);
}

export class Guard {
  constructor() { this.state = 'ground'; this.sequence = ''; }

  pass(text) {
    let out = '';
    for (const c of text) out += this[this.state](c);
    return out;
  }

  begin(c) {
    this.state = 'escape';
    this.sequence = c;
    return '';
  }

  ground(c) {
    if (c === '\u001b') return this.begin(c);
    if (isControl(c)) return passesAlone(c) ? c : '';
    // U+0080 to U+009F are controls (CSI, OSC) to some terminals.
    return c >= '\u0080' && c < '\u00a0' ? '?' : c;
  }

  escape(c) {
    this.state = 'ground';
    if (c === '[') {
      this.state = 'csi';
      this.sequence += c;
    } else if (']PX^_'.includes(c)) {
      this.state = 'text';
    } else if (c === '\u001b') {
      this.state = 'escape';
    } else if (c >= ' ' && c <= '/') {
      this.state = 'intermediate';
      this.sequence += c;
    } else if ('78DEHM'.includes(c)) {
      return `\u001b${c}`;
    } else if (isControl(c) && passesAlone(c)) {
      return c;
    }
    return '';
  }

  intermediate(c) {
    if (c === '\u001b') return this.begin(c);
    if (c < ' ' || c > '/') {
      this.state = 'ground';
      const set = this.sequence.length === 2 && '()'.includes(this.sequence[1]) && 'B0'.includes(c);
      return set ? this.sequence + c : '';
    }
    if (this.sequence.length < SEQUENCE_MAX) this.sequence += c;
    return '';
  }

  csi(c) {
    if (c === '\u001b') return this.begin(c);
    if (c === '\u0018' || c === '\u001a' || c >= '\u0080') {
      this.state = 'ground';
      return '';
    }
    if (isControl(c)) return passesAlone(c) ? c : '';
    if (this.sequence.length < SEQUENCE_MAX) this.sequence += c;
    if (c < '@') return '';
    this.state = 'ground';
    return this.sequence.length < SEQUENCE_MAX && passes(this.sequence) ? this.sequence : '';
  }

  text(c) {
    if (c === '\u0007' || c === '\u0018' || c === '\u001a') this.state = 'ground';
    if (c === '\u001b') this.state = 'textEscape';
    return '';
  }

  textEscape(c) {
    // Whatever follows, the string is over for every terminal.
    this.state = 'ground';
    if (c === '\\') return '';
    this.sequence = '\u001b';
    return this.escape(c);
  }
}
