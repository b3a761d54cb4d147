// Plays asciicast version 3 (docs.asciinema.org/manual/asciicast/v3) on a terminal: times are intervals.
import { Guard } from './guard.js';

const TICK_MS = 50;
const CELLS_MAX = 500;
const FACTS_MAX = 2000;

export class Player {
  // `told(now, end, playing)`, in milliseconds, whenever something of it changes.
  constructor(terminal, told) {
    this.terminal = terminal;
    this.told = told;
    this.guard = new Guard();
    this.events = [];
    this.facts = [];
    this.end = 0;
    this.seconds = 0;
    this.now = 0;
    this.next = 0;
    this.speed = 1;
    this.playing = false;
    this.following = false;
    this.wanted = undefined;
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.last = performance.now();
  }

  // Lines of a recording, in their order; each is whole.
  add(text) {
    for (const line of text.split('\n')) {
      if (!line || line.startsWith('#')) continue;
      let parsed;
      try { parsed = JSON.parse(line); } catch { continue; }
      if (Array.isArray(parsed)) this.addEvent(parsed);
      else this.size = { columns: parsed.term?.cols ?? 80, rows: parsed.term?.rows ?? 24 };
    }
    if (this.next === 0 && this.size) this.resize(this.size.columns, this.size.rows);
    if (this.wanted !== undefined && this.wanted <= this.end) {
      this.seek(this.wanted);
      this.wanted = undefined;
    } else if (this.following) {
      this.seekForward(this.end);
    }
    this.tell();
  }

  addEvent([interval, code, data]) {
    this.seconds += Number(interval) || 0;
    this.end = Math.round(this.seconds * 1000);
    if (code === 'o' || code === 'r') this.events.push({ at: this.end, code, data: String(data) });
    if (code === 'e' && this.facts.length < FACTS_MAX)
      this.facts.push(`${(this.seconds).toFixed(1)} s  ${String(data).replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')}`);
  }

  complete() {
    this.following = false;
    if (this.wanted !== undefined) this.seek(Math.min(this.wanted, this.end));
    this.wanted = undefined;
    this.tell();
  }

  follow() { this.following = true; }
  seekWhenThere(ms) { this.wanted = ms; }
  setSpeed(speed) { this.speed = speed; }
  toggle() {
    this.playing = !this.playing;
    this.following = false;
    if (this.playing && this.now >= this.end) this.seek(0);
    this.last = performance.now();
    this.tell();
  }
  stop() { clearInterval(this.timer); }
  tell() { this.told(this.now, this.end, this.playing); }

  tick() {
    const now = performance.now();
    const passed = (now - this.last) * this.speed;
    this.last = now;
    if (!this.playing) return;
    this.seekForward(Math.min(this.now + passed, this.end));
    if (this.now >= this.end) this.playing = false;
    this.tell();
  }

  // To a place before: everything until there is drawn anew.
  seek(ms) {
    if (ms < this.now || this.next === 0) {
      this.terminal.reset();
      this.guard = new Guard();
      this.next = 0;
      if (this.size) this.resize(this.size.columns, this.size.rows);
    }
    this.seekForward(ms);
    this.tell();
  }

  seekForward(ms) {
    let text = '';
    for (; this.next < this.events.length && this.events[this.next].at <= ms; ++this.next) {
      const { code, data } = this.events[this.next];
      if (code === 'o') {
        text += this.guard.pass(data);
        continue;
      }
      const [columns, rows] = data.split('x').map(Number);
      if (text) this.terminal.write(text);
      text = '';
      this.resize(columns, rows);
    }
    if (text) this.terminal.write(text);
    this.now = ms;
  }

  resize(columns, rows) {
    const sane = (cells) => Number.isInteger(cells) && cells > 1 && cells <= CELLS_MAX;
    // After what is written before it: the terminal draws later than it is told.
    if (sane(columns) && sane(rows)) this.terminal.write('', () => this.terminal.resize(columns, rows));
  }
}
