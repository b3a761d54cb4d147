// A person at the bastion's pages whom session policies limit, in Chromium: a fresh second factor, the clipboard, and a
// recording that somebody has changed. What happens around them is said by 99-browser-policy.sh.
// usage: policy_in_chromium.mjs BASTION-URL CA DIRECTORY PERSON PASSWORD
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Chromium } from '../sdk/chromium.js';
import * as pages from './pages.mjs';

const [bastion, caFile, directory, person, password] = process.argv.slice(2);
const { say, until } = pages;
const wait = (name) => pages.wait(directory, name);
const browser = await Chromium.start({ endpoint: bastion, ca: readFileSync(caFile) });
process.on('exit', () => browser.stop());
const screen = () => pages.screen(browser);
const type = (text) => pages.type(browser, text);
const machines = () => browser.evaluate('location.hash = "#/"');

async function connect() {
  await machines();
  await pages.connect(browser);
  await browser.shows(/Connected/);
  await type('PS1=; clear\n');
}
// A browser's own command, as its menu and its keys give it to whatever has the focus.
const command = (name) => browser.send('Input.dispatchKeyEvent',
  { type: 'keyDown', key: 'F24', windowsVirtualKeyCode: 135, commands: [name] });
// Beside the terminal, where no policy reaches: what is in the clipboard, and something put there.
const beside = (value) => browser.evaluate(`(() => {
  const text = document.createElement('textarea');
  text.id = 'beside';
  document.body.append(text);
  text.value = ${JSON.stringify(value)};
  text.focus();
  text.select();
})()`);
async function putIntoClipboard(text) {
  await beside(text);
  await command('Copy');
  await browser.evaluate('document.querySelector("#beside").remove()');
}
async function clipboard() {
  await beside('');
  await command('Paste');
  return browser.evaluate('(() => { const text = document.querySelector("#beside"); text.remove(); return text.value; })()');
}
// As a person selects a word: by a double click on it.
async function select(word) {
  const place = await browser.evaluate(`(() => {
    const row = [...document.querySelectorAll('.xterm-rows > div')].find((one) => one.innerText.trim() === ${JSON.stringify(word)});
    const { left, top, height } = row.getBoundingClientRect();
    return { x: left + 12, y: top + height / 2 };
  })()`);
  for (const clickCount of [1, 2])
    for (const what of ['mousePressed', 'mouseReleased'])
      await browser.send('Input.dispatchMouseEvent', { type: what, button: 'left', clickCount, ...place });
}
// What is typed after something was pasted comes after it: when it is there, so is what was pasted, or it never comes.
async function pasted(text, sign) {
  await putIntoClipboard(text);
  await browser.evaluate('document.querySelector(".xterm-helper-textarea").focus()');
  await command('Paste');
  await type(`\necho ${sign}-"typed"\n`);
  await until('what was typed', async () => new RegExp(`${sign}-typed`).test(await screen()));
  return screen();
}
async function copied(word) {
  await putIntoClipboard('of before');
  await type(`clear; echo ${word.slice(0, 3)}"${word.slice(3)}"\n`);
  await until('a word to copy', async () => (await screen()).split('\n').some((line) => line.trim() === word));
  await select(word);
  await browser.evaluate('document.querySelector(".xterm-helper-textarea").focus()');
  await command('Copy');
  return clipboard();
}

const steps = {
  // Signed in by a password, since there was nothing else; then the person gets a second factor, and a policy wants it.
  async stepUp() {
    await pages.signIn(browser, bastion, person, password);
    await browser.shows(/Machines/);
    const code = JSON.parse(await wait('second-factor'));
    await pages.connect(browser);
    await browser.shows(/takes a sign-in with a second factor that is not older than 10 minutes/);
    assert.doesNotMatch(await browser.text(), /Connected/);
    await browser.press('#step-up');
    await browser.shows(/User name/);
    await browser.fill({ username: person, password });
    await browser.press('button[value="sign-in"]');
    await browser.shows(/authenticator app/);
    await browser.fill({ code: '000000' });
    await browser.press('button[value="second-factor"]');
    await browser.shows(/code is wrong/);
    await browser.fill({ code: code.next });
    await browser.press('button[value="second-factor"]');
    await browser.shows(/Machines/);
    await connect();
    await type('hostname\n');
    await until('the machine answers', async () => /web-1/.test(await screen()));
    say('ok: a fresh second factor, asked for by the page, lets in');
  },

  async clipboardOpen() {
    assert.match(await pasted('echo was-"pasted"', 'open'), /was-pasted/);
    assert.equal(await copied('takenaway'), 'takenaway');
    say('ok: where the policy lets it, text is pasted and copied');
  },

  async clipboardShut() {
    await wait('no-clipboard');
    await connect();
    const shown = await pasted('echo was-"pasted"', 'shut');
    assert.doesNotMatch(shown, /was-"?pasted/);
    assert.equal(await copied('takenaway'), 'of before');
    // Nor by a drop, or by the browser's menu.
    assert.deepEqual(await browser.evaluate(`['drop', 'contextmenu', 'cut'].map((name) => {
      const event = new Event(name, { bubbles: true, cancelable: true });
      document.querySelector('.xterm-helper-textarea').dispatchEvent(event);
      return event.defaultPrevented;
    })`), [true, true, true]);
    say('ok: where it does not, neither');
  },

  async damaged() {
    await machines();
    await browser.shows(/web-1/);
    const recording = await wait('damaged');
    await browser.evaluate(`location.hash = "#/recordings/${recording}"`);
    const shown = await browser.shows(/does NOT verify/);
    assert.match(shown, /changed, cut, or is not what it says/);
    assert.doesNotMatch(shown, /Verified: it is whole/);
    assert.equal(await browser.evaluate('document.querySelector("#verdict [role=alert]") !== null'), true);
    // What is whole before the damage may be looked at; what is not is not shown.
    await browser.shows(/Changed|cannot be read|damaged|not the one that was written/i);
    say('ok: a recording that was changed is told to be so');
    await wait('mended');
    await browser.evaluate('location.reload()');
    await browser.shows(/Verified: it is whole/);
    say('ok: and put back as it was it verifies');
  },
};

await steps.stepUp();
await steps.clipboardOpen();
await steps.clipboardShut();
await steps.damaged();
assert.deepEqual(browser.complaints, []);
say('ok: nothing was against the policy of the page, and no script failed');
browser.stop();
process.exit(0);
