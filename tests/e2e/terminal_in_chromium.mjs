// A person at the pages of a bastion, in Chromium. What is to be done is said by the shell test around it:
// usage: terminal_in_chromium.mjs BASTION-URL CA DIRECTORY PERSON PASSWORD STRANGER PASSWORD      passwords are for one time
// Between steps it talks with that test: a line "NAME" on standard output says that it is there, a file DIRECTORY/NAME.done
// lets it go on.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Chromium } from '../sdk/chromium.js';
import * as pages from './pages.mjs';

const [bastion, caFile, directory, person, password, stranger, strangersPassword] = process.argv.slice(2);
const ca = readFileSync(caFile);
const chosen = 'a Better 1 by far';
const { say, until, upgrade } = pages;
const wait = (name) => pages.wait(directory, name);
const send = (path, headers, method) => pages.send(new URL(path, bastion), ca, headers, method);
const digest = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

let browser = await Chromium.start({ endpoint: bastion, ca });
process.on('exit', () => browser.stop());

const signIn = (name, password, again = false) => pages.signIn(browser, bastion, name, password, again ? undefined : chosen);
async function connect() {
  await pages.connect(browser);
  await browser.shows(/Connected/);
}
const screen = () => pages.screen(browser);

const steps = {
  async page() {
    const { status, headers } = await send('/');
    assert.equal(status, 200);
    assert.match(headers['content-security-policy'], /default-src 'none'; script-src 'self'; style-src 'self'/);
    assert.match(headers['content-security-policy'], /frame-ancestors 'none'/);
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
    for (const path of ['/web/session', '/web/machines', '/web/recordings'])
      assert.equal((await send(path)).status, 401, `${path} without a session`);
    assert.equal((await send('/web/terminal?machine=web-1&login=admin', { ...upgrade, Origin: new URL(bastion).origin })).status, 401);
    assert.equal((await send('/signed-in?code=x&state=y')).status, 400);
    assert.equal((await send('/assets/..%2fpage.js')).status, 400);
    say('ok: the page has its policy, and tells nobody anything');
  },

  async terminal() {
    await signIn(person, password);
    const { cookies } = await browser.send('Network.getCookies', { urls: [bastion] });
    const session = cookies.find(({ name }) => name === '__Host-merlon-bastion');
    assert.equal(session.httpOnly && session.secure && session.sameSite === 'Strict' && session.path === '/', true);
    assert.equal(await browser.evaluate('document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)'), '{}{}');
    assert.doesNotMatch(await browser.evaluate('location.href'), /code=|token|state=/);
    await connect();
    await browser.evaluate('document.querySelector(".xterm-helper-textarea").focus()');
    await browser.type('hostname; echo "$TERM"; stty size\n');
    await until('the machine answers', async () => /web-1[\s\S]*xterm-256color[\s\S]*\d+ \d+/.test(await screen()));
    await browser.type("printf '\\033[38;2;10;200;30mtruly green\\033[0m\\n'\n");
    await until('colours', async () => browser.evaluate(
      '[...document.querySelectorAll(".xterm-rows span")].some((one) => /truly green/.test(one.innerText) && getComputedStyle(one).color === "rgb(10, 200, 30)")'));
    say('ok: a terminal on the machine, in colour');
    return session;
  },

  // What another site could make a browser do, and what somebody with a stolen address could.
  async strangers({ value }) {
    const cookie = { Cookie: `__Host-merlon-bastion=${value}` };
    const own = new URL(bastion).origin;
    const terminal = '/web/terminal?machine=web-1&login=admin';
    assert.equal((await send(terminal, { ...upgrade, ...cookie, Origin: 'https://evil.example' })).status, 403);
    assert.equal((await send(terminal, { ...upgrade, ...cookie })).status, 403);
    assert.equal((await send(terminal, { ...upgrade, ...cookie, Origin: 'null' })).status, 403);
    assert.equal((await send('/web/sign-out', { ...cookie, Origin: 'https://evil.example' }, 'POST')).status, 403);
    assert.equal((await send('/web/sign-out', { ...cookie }, 'POST')).status, 403);
    assert.equal((await send('/web/session', cookie)).status, 200);
    assert.equal((await send('/web/session', { ...cookie, Host: `bst-00000000-0000-0000-0000-000000000000.${new URL(bastion).host.split('.').slice(1).join('.')}` })).status, 404);
    assert.equal((await send('/web/terminal?machine=web-1', { ...upgrade, ...cookie, Origin: own })).status, 400);
    say('ok: a foreign origin is refused');
  },

  async files() {
    const source = join(directory, 'sent.bin');
    await browser.send('Page.setDownloadBehavior', { behavior: 'allow', downloadPath: directory });
    await browser.evaluate('document.querySelector("#files-panel").open = true');
    await browser.shows(/Directory/);
    await until('the directory', () => browser.evaluate('document.querySelector("[name=path]").value.startsWith("/")'));
    await browser.choose('#upload-file', [source]);
    await browser.press('#upload');
    await browser.shows(/sent\.bin: sent/);
    await wait('sent');
    await browser.evaluate('document.querySelector("[name=path]").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }))');
    await until('the file back', () => browser.evaluate('!!document.querySelector("[data-name=\\"back.bin\\"]")'));
    await browser.press('[data-name="back.bin"]');
    const back = join(directory, 'back.bin');
    await browser.shows(/back\.bin: fetched/);
    await until('the download', () => existsSync(back) && digest(back) === digest(source));
    assert.match(await browser.text(), /\\u001b\[2Jtrick[\s\S]*This name cannot be used: it has control characters/);
    say('ok: a file goes there and comes back');
  },

  // Somebody else's screen, while it is written.
  async watched() {
    const first = browser;
    browser = await Chromium.start({ endpoint: bastion, ca });
    const watcher = browser;
    process.on('exit', () => watcher.stop());
    await signIn(person, chosen, true);
    await browser.shows(/Machines/);
    await browser.evaluate('location.hash = "#/recordings"');
    await browser.shows(/running/);
    await browser.press('#recordings a');
    await browser.shows(/This session runs now/);
    await until('what was there', async () => /truly green/.test(await screen()));
    await first.type('echo while-it-is-"watched"\n');
    await until('what comes', async () => /while-it-is-watched/.test(await screen()));
    assert.deepEqual(watcher.complaints, []);
    watcher.stop();
    browser = first;
    say('ok: a running session is watched');
  },

  async killed() {
    await wait('to-be-killed');
    await browser.shows(/ended by an administrator|Disconnected|was ended|disconnected/i);
    writeFileSync(join(directory, 'said.txt'), await browser.text());
    say('ok: the page says why the session ended');
  },

  // Nobody to this bastion: sees no machine, and reaches none by its name.
  async stranger() {
    await browser.press('#sign-out');
    await browser.shows(/Sign in to reach machines/);
    assert.equal(await browser.evaluate('fetch("/web/session").then(({ status }) => status)'), 401);
    await browser.forget();
    await signIn(stranger, strangersPassword);
    assert.match(await browser.shows(/You may not use this bastion/), /^(?![\s\S]*web-1)/);
    assert.equal(await browser.evaluate('fetch("/web/machines").then(({ status }) => status)'), 403);
    await browser.evaluate('location.hash = "#/terminal?machine=web-1&login=admin&port=22"');
    await browser.shows(/There is no bastion|no machine/);
    await browser.evaluate('location.hash = "#/recordings"');
    await browser.shows(/There is no recording|not authorized|does not have authorization/);
    say('ok: who has no right sees nothing');
  },

  async replay() {
    await browser.open(`${bastion}/#/recordings`);
    await browser.evaluate('location.reload()');
    await browser.shows(/Text in a recording/);
    await browser.fill({ text: 'truly green' });
    await browser.press('#search');
    await until('a hit', () => browser.evaluate('!!document.querySelector("a.hit")'));
    await browser.press('a.hit');
    await browser.shows(/Verified: it is whole/);
    await until('the place that was found', async () => /truly green/.test(await screen()));
    await browser.evaluate('(() => { const seek = document.querySelector("#seek"); seek.value = 0; seek.dispatchEvent(new Event("input")); })()');
    await until('the beginning', async () => !/truly green/.test(await screen()));
    await browser.evaluate('(() => { const speed = document.querySelector("#speed"); speed.value = 16; speed.dispatchEvent(new Event("change")); })()');
    await browser.press('#play');
    await until('it plays', async () => /truly green/.test(await screen()));
    await browser.evaluate('document.querySelector("details").open = true');
    await browser.shows(/"transfer"|sent\.bin/);
    say('ok: the session is found and replayed');
  },
};

await steps.page();
const session = await steps.terminal();
await steps.strangers(session);
await steps.watched();
await steps.files();
await steps.killed();
await steps.replay();
await steps.stranger();
assert.deepEqual(browser.complaints, []);
say('ok: nothing was against the policy of the page, and no script failed');
browser.stop();
process.exit(0);
