// What tests of the bastion's pages in Chromium share: waiting, talking with the shell test around them, and what a
// person does at a page.
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';

const patience = Number(process.env.MERLON_PATIENCE) || 1;
export const say = (text) => console.log(text);

export async function until(what, test, seconds = 20) {
  const end = Date.now() + seconds * 1000 * patience;
  while (Date.now() < end) {
    const found = await test();
    if (found) return found;
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  throw new Error(`not within ${seconds} s: ${what}`);
}

// A line "NAME" on standard output asks the test around for something; the file DIRECTORY/NAME.done has the answer.
export async function wait(directory, name) {
  say(name);
  const file = join(directory, `${name}.done`);
  await until(`${name}.done`, () => existsSync(file), 60);
  return readFileSync(file, 'utf8').trim();
}

// A request as any program can send it, with the cookie of the browser if it is wanted.
export const upgrade = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' };
export function send(url, ca, headers = {}, method = 'GET') {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, ca, headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    sent.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode, headers: response.headers, text: '' });
    });
    sent.on('error', reject);
    sent.end();
  });
}

// At the page of a bastion, as one who has not signed in: until a password that has to be changed, if `chosen` is given.
export async function signIn(browser, bastion, name, password, chosen) {
  await browser.open(bastion);
  await browser.shows(/Sign in to reach machines/);
  await browser.press('#sign-in');
  await browser.shows(/User name/);
  await browser.fill({ username: name, password });
  await browser.press('button[value="sign-in"]');
  if (!chosen) return;
  await browser.shows(/has to be changed/);
  await browser.fill({ 'new-password': chosen, 'confirm-password': chosen });
  await browser.press('button[value="change-password"]');
  await browser.shows(/Machines/);
}

export async function connect(browser, login = 'admin') {
  await browser.shows(/web-1/);
  await until('the list of machines', () => browser.evaluate('!!document.querySelector("#connect")'));
  await browser.fill({ login });
  await browser.press('#connect');
}
export const screen = (browser) => browser.evaluate('document.querySelector(".xterm-rows")?.innerText ?? ""');
// Into the terminal, as keys.
export async function type(browser, text) {
  await browser.evaluate('document.querySelector(".xterm-helper-textarea").focus()');
  await browser.type(text);
}
