// Somebody with a shareable link and nothing else, in Chromium; what happens around them is said by 96-browser.sh.
// usage: link_in_chromium.mjs BASTION-URL CA DIRECTORY STRANGER PASSWORD
// A line "NAME" on standard output asks the test around it for something; DIRECTORY/NAME.done has the answer: a link,
// or nothing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Chromium } from '../sdk/chromium.js';
import * as pages from './pages.mjs';

const [bastion, caFile, directory, stranger, password] = process.argv.slice(2);
const ca = readFileSync(caFile);
const { say, until, upgrade } = pages;
const wait = (name) => pages.wait(directory, name);
const send = (path, headers, method) => pages.send(new URL(path, bastion), ca, headers, method);

const browser = await Chromium.start({ endpoint: bastion, ca });
process.on('exit', () => browser.stop());
const screen = () => pages.screen(browser);
const fetched = (path) => browser.evaluate(`fetch(${JSON.stringify(path)}).then(async (one) => ({ status: one.status, json: await one.json() }))`);

async function work(said) {
  await browser.press('#connect');
  await browser.shows(/Connected/);
  await browser.evaluate('document.querySelector(".xterm-helper-textarea").focus()');
  await browser.type('hostname; id -un\n');
  await until('the machine answers', async () => /web-1\s+admin/.test(await screen()));
  say(`ok: ${said}`);
}

const steps = {
  async opened() {
    await browser.open(await wait('link'));
    await browser.shows(/A shareable link of .* leads here: to web-1 as admin/);
    assert.doesNotMatch(await browser.text(), /Sign in|Sign out|Recordings/);
    assert.doesNotMatch(await browser.evaluate('location.href'), /shareable-url/);
    const session = (await fetched('/web/session')).json;
    assert.equal(session.link, true);
    assert.deepEqual([session.machine, session.login, session.usesLeft, session.missing], ['web-1', 'admin', 3, '']);
    assert.ok(session.createdBy && Date.parse(session.expiresAt) > Date.now());
    assert.deepEqual((await fetched('/web/machines')).json.value.map(({ name }) => name), ['web-1']);
    assert.equal((await fetched('/web/recordings')).status, 404);
    say('ok: whoever has a link is shown what it gives, and nothing else');
  },

  // A page of another site's cannot use the link of whoever looks at it.
  async foreign() {
    const { cookies } = await browser.send('Network.getCookies', { urls: [bastion] });
    const { value } = cookies.find(({ name }) => name === '__Host-merlon-link');
    const cookie = { Cookie: `__Host-merlon-link=${value}` };
    const own = { Origin: new URL(bastion).origin };
    for (const origin of [{ Origin: 'https://evil.example' }, { Origin: 'null' }, {}]) {
      assert.equal((await send('/web/terminal', { ...upgrade, ...cookie, ...origin })).status, 403);
      assert.equal((await send('/web/leave-link', { ...cookie, ...origin }, 'POST')).status, 403);
    }
    assert.equal((await send('/web/terminal?machine=db-1&login=admin', { ...upgrade, ...cookie, ...own })).status, 409);
    // Where it leads is the link's alone to say.
    assert.equal((await send('/web/recordings/search', { ...cookie, ...own }, 'POST')).status, 404);
    assert.equal((await send('/web/terminal?machine=web-1&login=admin', { ...upgrade, ...own })).status, 401);
    assert.equal((await fetched('/web/session')).json.usesLeft, 3);
    say('ok: with a link too a foreign origin is refused');
  },

  async deleted() {
    await work('a terminal by a link, with no sign-in');
    assert.equal((await fetched('/web/session')).json.usesLeft, 2);
    await wait('link-deleted');
    await browser.shows(/The link that you came by was deleted/);
    await browser.press('a.go[href="#/"]');
    await browser.shows(/There is no such link: it was deleted/);
    await browser.open(`${bastion}/`);
    await browser.shows(/Sign in to reach machines/);
    say('ok: a deleted link ends its session, and the page says so');
  },

  async usedUp() {
    const link = await wait('link-once');
    await browser.open(link);
    await browser.shows(/leads here/);
    await work('a link for one session');
    await browser.evaluate('location.hash = "#/"');
    await browser.shows(/This link does not work: it has expired, was used up/);
    await browser.open(link);
    await browser.shows(/This link does not work: it has expired, was used up/);
    say('ok: a link is good for as many sessions as it says');
  },

  async signsIn() {
    await browser.open(await wait('link-sign-in'));
    await browser.shows(/for people who have signed in here/);
    assert.equal(await browser.evaluate('!document.querySelector("#connect")'), true);
    await browser.press('#sign-in');
    await browser.shows(/User name/);
    await browser.fill({ username: stranger, password });
    await browser.press('button[value="sign-in"]');
    await browser.shows(/leads here/);
    await work('a link whose holder has to sign in, as anybody');
    await wait('link-held');
    await browser.press('#sign-out');
    await browser.shows(/for people who have signed in here/);
    await browser.press('#leave-link');
    await browser.shows(/Sign in to reach machines/);
    say('ok: and leaves it');
  },
};

for (const step of Object.values(steps)) await step();
assert.deepEqual(browser.complaints, []);
browser.stop();
process.exit(0);
