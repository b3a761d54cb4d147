// Passkeys in a real browser: one is made on its page and signs in without a name or a password; a device whose owner did
// not unlock it, and a browser that never made one, do not.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Chromium } from './chromium.js';
import { startServer } from './server.js';

const chosen = 'a Better 1 by far';
let server;
let person;
let browser;
before(async () => {
  server = await startServer();
  person = JSON.parse(server.merlon('user', 'create', '--username', 'ada', '--output', 'json'));
  browser = await Chromium.start(server);
});
after(() => {
  browser?.stop();
  server?.stop();
});

const signIn = async (password) => {
  await browser.shows(/User name/);
  await browser.fill({ username: person.userPrincipalName, password });
  await browser.press('button[value="sign-in"]');
};

test('a passkey is made', async () => {
  await browser.plugIn();
  await browser.open(`${server.endpoint}/passkeys`);
  await signIn(person.password);
  await browser.shows(/has to be changed/);
  await browser.fill({ 'new-password': chosen, 'confirm-password': chosen });
  await browser.press('button[value="change-password"]');
  await browser.shows(/with 0 passkeys/);
  await browser.fill({ name: 'Laptop' });
  await browser.press('#go');
  await browser.shows(/'Laptop' signs you in/);
  const { credentials } = await browser.credentials();
  assert.equal(credentials.length, 1);
  assert.equal(credentials[0].isResidentCredential, true);
  const { value } = JSON.parse(server.merlon('mfa', 'list', '--user', person.userPrincipalName, '--output', 'json'));
  assert.ok(value.some((method) => method.displayName === 'Laptop' && /fido2/.test(method['@odata.type'])));
});

test('it signs in without a name or a password', async () => {
  await browser.forget();
  await browser.open(`${server.endpoint}/devicelogin`);
  await browser.shows(/Use a passkey/);
  await browser.press('button[value="use-passkey"]');
  await browser.shows(/Sign in with a passkey/);
  await browser.press('#go');
  const page = await browser.shows(/Enter the code of your device/);
  assert.match(page, new RegExp(person.userPrincipalName));
  const { credentials } = await browser.credentials();
  assert.ok(credentials[0].signCount > 1);
});

test('the password alone signs nobody in any more', async () => {
  await browser.forget();
  await browser.open(`${server.endpoint}/devicelogin`);
  await signIn(chosen);
  await browser.shows(/Prove that it is you/);
  await browser.press('button[value="use-passkey"]');
  await browser.shows(/Sign in with a passkey/);
  await browser.press('#go');
  await browser.shows(/Enter the code of your device/);
});

test('a device that is not unlocked is not enough', async () => {
  await browser.forget();
  await browser.send('WebAuthn.setUserVerified', { authenticatorId: browser.authenticator, isUserVerified: false });
  await browser.open(`${server.endpoint}/devicelogin`);
  await browser.shows(/Use a passkey/);
  await browser.press('button[value="use-passkey"]');
  await browser.shows(/Sign in with a passkey/);
  await browser.press('#go');
  await browser.shows(/No passkey was used/);
  await browser.send('WebAuthn.setUserVerified', { authenticatorId: browser.authenticator, isUserVerified: true });
});

test('one that was removed signs nobody in', async () => {
  const { value } = JSON.parse(server.merlon('mfa', 'list', '--user', person.userPrincipalName, '--output', 'json'));
  const { id } = value.find((method) => method.displayName === 'Laptop');
  server.merlon('mfa', 'remove', id, '--user', person.userPrincipalName);
  await browser.forget();
  await browser.open(`${server.endpoint}/devicelogin`);
  await browser.shows(/Use a passkey/);
  await browser.press('button[value="use-passkey"]');
  await browser.shows(/Sign in with a passkey/);
  await browser.press('#go');
  await browser.shows(/The passkey was not accepted/);
});
