// A terminal on a machine.
import { alert, element, show } from './dom.js';
import { filesPanel } from './files.js';
import { Stream } from './stream.js';

const { Terminal } = globalThis;
const { FitAddon } = globalThis.FitAddon;

// What a machine writes draws, and asks the terminal about itself; links and titles are nobody's.
export function makeTerminal(options) {
  const terminal = new Terminal({
    allowProposedApi: false, cursorBlink: true, scrollback: 5000, fontFamily: 'monospace', fontSize: 14,
    linkHandler: { activate: () => {} }, ...options,
  });
  return terminal;
}

// Bytes that the terminal has drawn are dealt with; told in steps, so that not every one costs a frame.
const TOLD_EVERY = 32 * 1024;

export function showTerminal(parameters, back = 'Back to the machines') {
  const wanted = Object.fromEntries(['machine', 'login', 'port', 'justification']
    .filter((name) => parameters.get(name)).map((name) => [name, parameters.get(name)]));
  const title = `${wanted.login} on ${(wanted.machine ?? '').split('/').at(-1)}`;
  const screen = element('div', { class: 'screen', id: 'screen' });
  const status = element('span', { class: 'note', id: 'status', role: 'status' }, 'Connecting…');
  const leave = element('button', { type: 'button' }, 'Disconnect');
  const files = element('div', { id: 'files' });
  const said = element('div', { id: 'said' });
  show(element('div', { class: 'row' }, element('h1', {}, title), status, leave), said, files, screen);

  const terminal = makeTerminal({});
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(screen);
  fit.fit();
  let shell;
  let untold = 0;
  const stream = new Stream(wanted, {
    ready: ({ allowed }) => {
      status.textContent = 'Connected';
      if (!allowed.clipboard) forbidClipboard(screen);
      if (allowed.upload || allowed.download) files.replaceChildren(filesPanel(stream, allowed));
      if (!allowed.shell) return said.replaceChildren(alert('This bastion’s policy lets no shell through.'));
      shell = stream.open({ what: 'shell', columns: terminal.cols, rows: terminal.rows }, {
        data: (bytes) => terminal.write(bytes, () => {
          untold += bytes.length;
          if (untold < TOLD_EVERY) return;
          shell.taken(untold);
          untold = 0;
        }),
        closed: ({ message }) => { if (message) terminal.write(`\r\nMerlon: ${plain(message)}\r\n`); },
      });
      terminal.onData((text) => shell.send(text));
      terminal.onBinary((text) => shell.send(Uint8Array.from(text, (c) => c.charCodeAt(0))));
      terminal.onResize(({ cols, rows }) => shell.resize(cols, rows));
      terminal.focus();
      return undefined;
    },
    notice: (message) => terminal.write(`\r\nMerlon: ${plain(message)}\r\n`),
    ended: ({ code, message }) => {
      status.textContent = 'Ended';
      terminal.options.disableStdin = true;
      leave.replaceWith(element('a', { class: 'go', href: '#/' }, back));
      if (code === 'StepUpRequired')
        said.replaceChildren(alert(message), element('p', {}, element('a', { class: 'go', id: 'step-up', href: '/sign-in?fresh' },
          'Sign in again with a second factor')));
      else said.replaceChildren(alert(message));
    },
  });
  leave.addEventListener('click', () => stream.close());
  const resized = new ResizeObserver(() => fit.fit());
  resized.observe(screen);
  return () => {
    resized.disconnect();
    stream.close();
    terminal.dispose();
  };
}

// What the server says is no terminal's language.
function plain(text) { return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' '); }

// By the policy nothing is copied out of the terminal or pasted into it. The page alone can tell such from typing and
// looking; who runs another page is not kept from it.
function forbidClipboard(screen) {
  for (const name of ['copy', 'cut', 'paste', 'drop', 'contextmenu'])
    screen.addEventListener(name, (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
    }, { capture: true });
}
