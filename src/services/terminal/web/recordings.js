// Recordings: which there are, a search through them, and one played, or watched while it is made.
import { alert, ask, element } from './dom.js';
import { Player } from './player.js';
import { makeTerminal } from './terminal.js';

const SPEEDS = [0.5, 1, 2, 4, 8, 16];
const FOLLOW_MS = 500;
const TEXT_MAX = 64 * 1024 * 1024; // of a recording that the page keeps

function clock(ms) {
  const s = Math.floor(ms / 1000);
  const parts = [Math.floor(s / 60) % 60, s % 60].map((one) => String(one).padStart(2, '0'));
  return s >= 3600 ? `${Math.floor(s / 3600)}:${parts.join(':')}` : parts.join(':');
}

const short = (id) => (id ?? '').split('/').at(-1);

function rows(recordings) {
  return recordings.map(({ name, properties }) => element('tr', {},
    element('td', {}, element('a', { href: `#/recordings/${name}` }, new Date(properties.startTime).toLocaleString())),
    element('td', {}, properties.userName), element('td', {}, properties.login),
    element('td', {}, short(properties.machine)),
    element('td', {}, properties.running ? 'running' : clock(properties.durationMs))));
}

async function search(text, found) {
  const { value, next } = await ask('/web/recordings/search', { text });
  const hits = value.map((hit) => element('tr', {},
    element('td', {}, element('a', { href: `#/recordings/${hit.name}?at=${hit.atMs}`, class: 'hit' },
      `${new Date(hit.startTime).toLocaleString()} + ${clock(hit.atMs)}`)),
    element('td', {}, hit.userName), element('td', {}, short(hit.machine)), element('td', {}, element('pre', {}, hit.line))));
  found.replaceChildren(hits.length ? element('table', {}, element('tbody', {}, ...hits)) : 'Nothing was found.',
    next ? element('p', { class: 'note' }, 'There is more: search for something longer.') : '');
}

export async function showRecordings({ show }) {
  const text = element('input', { name: 'text', size: 24 });
  const found = element('div', { id: 'found' });
  const look = () => search(text.value, found).catch((error) => found.replaceChildren(alert(error.message)));
  text.addEventListener('keydown', (event) => { if (event.key === 'Enter') look(); });
  const list = element('tbody', { id: 'recordings' });
  const more = element('button', { type: 'button', hidden: true }, 'More');
  let next = '';
  const load = async () => {
    const page = await ask(`/web/recordings${next}`);
    list.append(...rows(page.value));
    next = page.nextLink ? `?${new URLSearchParams({ $skiptoken: new URL(page.nextLink).searchParams.get('$skiptoken') })}` : '';
    more.hidden = !next;
  };
  more.addEventListener('click', () => load().catch((error) => show(alert(error.message))));
  await load();
  show(element('h1', {}, 'Recordings'),
    element('div', { class: 'row' }, element('label', {}, 'Text in a recording', text),
      element('button', { type: 'button', id: 'search', onclick: look }, 'Search')),
    found, list.childElementCount ? element('table', {}, list) : element('p', {}, 'There is no recording that you may see.'),
    more);
}

// Held against the ledger before anything of it is shown.
async function verdict(name) {
  try {
    const report = await ask(`/web/recordings/${name}/verify`, {});
    if (report.sound) return { good: true, text: 'Verified: it is whole, and as the ledger has it.' };
    const problems = report.problems.map(({ message }) => message).join(' ');
    return { good: false, text: `This recording does NOT verify: it was changed, cut, or is not what it says. ${problems}` };
  } catch (error) {
    return { good: false, text: `Whether this recording is genuine could not be verified: ${error.message}` };
  }
}

// Piece by piece, as long as there is something and it is wanted.
async function fetchContent(name, player, state) {
  let from = '';
  let size = 0;
  while (!state.left) {
    const page = await ask(`/web/recordings/${name}/content`, from ? { from } : {});
    size += page.text.length;
    if (size > TEXT_MAX) throw new Error('This recording is too long for the page. Play it with: merlon recording play.');
    player.add(page.text);
    from = page.next;
    if (!page.atEnd) continue;
    if (page.ended) { player.complete(); return; }
    await new Promise((resolve) => { setTimeout(resolve, FOLLOW_MS); });
  }
}

export async function showRecording(name, parameters, { show, isLeft }) {
  const { properties } = await ask(`/web/recordings/${name}`);
  if (isLeft()) return () => {};
  const live = properties.running;
  const said = element('div', { id: 'verdict' }, live
    ? element('p', { class: 'note' }, 'This session runs now; it can be verified when it has ended.')
    : element('p', { class: 'note' }, 'Verifying…'));
  const screen = element('div', { class: 'screen', id: 'screen' });
  const play = element('button', { type: 'button', class: 'go', id: 'play', disabled: true }, 'Play');
  const seek = element('input', { type: 'range', min: 0, max: 0, value: 0, id: 'seek', 'aria-label': 'Position' });
  const at = element('span', { class: 'note', id: 'at' });
  const speed = element('select', { 'aria-label': 'Speed', id: 'speed' },
    ...SPEEDS.map((one) => element('option', { value: one, selected: one === 1 }, `${one} ×`)));
  const facts = element('details', {}, element('summary', {}, 'Commands, forwards and files'), element('pre', { id: 'facts' }));
  show(element('h1', {}, properties.title), said, element('div', { class: 'row' }, play, seek, at, speed), screen, facts);

  const state = { left: false };
  const result = live ? undefined : await verdict(name);
  if (isLeft()) return () => {};
  if (result) said.replaceChildren(result.good ? element('p', { class: 'note' }, result.text) : alert(result.text));
  // No listener on what the terminal has to say: a recording gets no answers, and nobody types into it.
  const terminal = makeTerminal({ disableStdin: true, cursorBlink: false });
  terminal.open(screen);
  const player = new Player(terminal, (now, end, playing) => {
    seek.max = String(end);
    seek.value = String(now);
    at.textContent = `${clock(now)} of ${clock(end)}`;
    play.textContent = playing ? 'Pause' : 'Play';
    facts.lastElementChild.textContent = player.facts.join('\n');
  });
  play.disabled = false;
  play.addEventListener('click', () => player.toggle());
  seek.addEventListener('input', () => player.seek(Number(seek.value)));
  speed.addEventListener('change', () => player.setSpeed(Number(speed.value)));
  const from = Number(parameters.get('at') ?? 0);
  if (from > 0) player.seekWhenThere(from);
  if (live) player.follow();
  fetchContent(name, player, state).catch((error) => said.append(alert(error.message)));
  return () => {
    state.left = true;
    player.stop();
    terminal.dispose();
  };
}
