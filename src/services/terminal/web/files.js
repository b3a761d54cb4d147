// Files of the machine, beside the terminal: look, send, fetch.
import { alert, element } from './dom.js';
import { joined, nameProblem, shownName } from './names.js';
import { Sftp } from './sftp.js';

const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const KIND = 0o170000;
const KEPT_MAX = 1024 * 1024 * 1024; // of a file that the browser keeps until it is whole

function amount(bytes) {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; ++unit; }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function filesPanel(stream, allowed) {
  let client;
  let directory = '.';
  const path = element('input', { name: 'path', size: 32, spellcheck: 'false', autocapitalize: 'none' });
  const said = element('div', { id: 'files-said', role: 'status' });
  const list = element('tbody');
  const chosen = element('input', { type: 'file', id: 'upload-file', multiple: true });
  const send = element('button', { type: 'button', id: 'upload', disabled: !allowed.upload }, 'Send to the machine');

  const fail = (error) => said.replaceChildren(alert(error.message));
  const sftp = async () => {
    client ??= Sftp.over(stream);
    try {
      return await client;
    } catch (error) {
      client = undefined;
      throw error;
    }
  };

  const look = async (where) => {
    const files = await sftp();
    directory = await files.realpath(where);
    path.value = directory;
    const entries = (await files.list(directory)).filter(({ name }) => name !== '.')
      .sort((a, b) => ((b.mode & KIND) === DIRECTORY) - ((a.mode & KIND) === DIRECTORY) || a.name.localeCompare(b.name));
    list.replaceChildren(...entries.slice(0, 2000).map((entry) => row(entry)));
    said.replaceChildren(entries.length > 2000 ? `${entries.length} entries; 2000 are shown.` : '');
  };

  const row = ({ name, size, mode }) => {
    const problem = name === '..' ? undefined : nameProblem(name);
    const kind = mode & KIND;
    const act = [];
    if (kind === DIRECTORY && !problem)
      act.push(element('button', { type: 'button', onclick: () => look(joined(directory, name)).catch(fail) }, 'Open'));
    if (kind === REGULAR && !problem && allowed.download)
      act.push(element('button', { type: 'button', 'data-name': name, onclick: () => fetchFile(name, size).catch(fail) },
        'Fetch'));
    return element('tr', {}, element('td', {}, shownName(name) + (kind === DIRECTORY ? '/' : '')),
      element('td', {}, kind === REGULAR && size !== undefined ? amount(size) : ''),
      element('td', {}, ...act, problem ? `This name cannot be used: ${problem}.` : ''));
  };

  const fetchFile = async (name, size) => {
    const files = await sftp();
    const source = joined(directory, name);
    const told = (done) => said.replaceChildren(`${shownName(name)}: ${amount(done)}`);
    // Straight to the disk where the browser can; else kept until it is whole.
    if (size > KEPT_MAX) {
      if (!globalThis.showSaveFilePicker)
        throw new Error(`${shownName(name)} has ${amount(size)}, more than this browser can keep. Use scp or sftp.`);
      const file = await (await showSaveFilePicker({ suggestedName: name })).createWritable();
      try {
        await files.download(source, (bytes) => file.write(bytes), told);
      } catch (error) {
        await file.abort();
        throw error;
      }
      await file.close();
    } else {
      const parts = [];
      let kept = 0;
      await files.download(source, (bytes) => {
        kept += bytes.length;
        if (kept > KEPT_MAX) throw new Error(`${shownName(name)} grows while it is fetched, beyond what is kept.`);
        parts.push(bytes);
      }, told);
      const address = URL.createObjectURL(new Blob(parts, { type: 'application/octet-stream' }));
      element('a', { href: address, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
      said.replaceChildren(`${shownName(name)}: fetched, ${amount(kept)}.`);
      return;
    }
    said.replaceChildren(`${shownName(name)}: fetched.`);
  };

  const sendFiles = async () => {
    const files = await sftp();
    for (const file of chosen.files) {
      const problem = nameProblem(file.name);
      if (problem) throw new Error(`'${shownName(file.name)}' is not sent: ${problem}.`);
      const target = joined(directory, file.name);
      const there = await files.stat(target).then(() => true, () => false);
      if (there && !confirm(`${shownName(file.name)} is on the machine already. Replace it?`)) continue;
      await files.upload(target, file.size,
        async (offset, length) => new Uint8Array(await file.slice(offset, offset + length).arrayBuffer()),
        (done) => said.replaceChildren(`${shownName(file.name)}: ${amount(done)} of ${amount(file.size)}`));
      said.replaceChildren(`${shownName(file.name)}: sent, ${amount(file.size)}.`);
    }
    const last = [...said.childNodes];
    await look(directory);
    said.replaceChildren(...last);
  };

  send.addEventListener('click', () => {
    send.disabled = true;
    sendFiles().catch(fail).finally(() => { send.disabled = false; });
  });
  path.addEventListener('keydown', (event) => { if (event.key === 'Enter') look(path.value).catch(fail); });
  const details = element('details', { id: 'files-panel' }, element('summary', {}, 'Files'),
    element('div', { class: 'row' }, element('label', {}, 'Directory', path),
      ...(allowed.upload ? [element('label', {}, 'To send', chosen), send] : [])),
    said, element('table', {}, list));
  details.addEventListener('toggle', () => { if (details.open && !client) look(directory).catch(fail); });
  return details;
}
