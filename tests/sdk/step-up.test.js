// A claims challenge, as Azure's own libraries take it: @azure/arm-resources hands the claims to @azure/identity, which
// signs the person in anew, with the second factor this time, and the call goes through without its caller noticing.
import { DeviceCodeCredential } from '@azure/identity';
import { ResourceManagementClient } from '@azure/arm-resources';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Browser } from './browser.js';
import { startServer } from './server.js';

const azureCli = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';
const chosen = 'a Better 1 by far';
let server, person, browser, secret, used;
const prompts = [];

before(async () => {
  server = await startServer();
  person = JSON.parse(server.merlon('user', 'create', '--username', 'ada', '--output', 'json'));
  server.merlon('role', 'assign', '--role', 'Contributor', '--assignee', person.userPrincipalName,
    '--scope', `/subscriptions/${server.subscription}`);
  browser = new Browser(server);
  await browser.open(`${server.endpoint}/devicelogin`);
  await browser.press('sign-in', { username: person.userPrincipalName, password: person.password });
  await browser.press('change-password', { 'new-password': chosen, 'confirm-password': chosen });
});
after(() => server?.stop());

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
// RFC 6238, of this moment.
function code() {
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const digest = createHmac('sha1', key).update(counter).digest();
  const number = digest.readUInt32BE(digest[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}
// Each is good once.
async function freshCode() {
  while (code() === used) await new Promise((resolve) => setTimeout(resolve, 500));
  used = code();
  return used;
}

async function approve({ userCode, verificationUri }) {
  await browser.open(verificationUri);
  await browser.press('find-code', { user_code: userCode });
  const asked = [];
  if (browser.page.text.includes('value="sign-in"')) {
    asked.push('password');
    await browser.press('sign-in', { username: person.userPrincipalName, password: chosen });
  }
  if (browser.page.text.includes('value="second-factor"')) {
    asked.push('second factor');
    await browser.press('second-factor', { code: await freshCode() });
  }
  if (asked.length) {
    assert.ok(browser.page.text.includes(`value="${userCode}"`), 'the code need not be typed again');
    await browser.press('find-code', { user_code: userCode });
  }
  await browser.press('approve');
  prompts.push(asked.join(', '));
}

const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

test('an SDK that meets a step-up policy signs the person in with their second factor, and goes on', async () => {
  const credential = new DeviceCodeCredential({
    tenantId: server.tenant, clientId: azureCli, ...server.authority(), userPromptCallback: approve,
  });
  const client = new ResourceManagementClient(credential, server.subscription, server.options());
  await client.resourceGroups.createOrUpdate('before', { location: 'local' });
  assert.deepEqual(prompts, [''], 'the browser knows the person, and nothing more is asked for');

  const graph = async (path, body) => {
    const { token } = await credential.getToken('https://graph.microsoft.com/.default', { enableCae: true });
    const answer = await server.request('POST', `${server.endpoint}/v1.0/me/authentication/${path}`, token, body);
    assert.ok(answer.status < 300, JSON.stringify(answer.body));
    return answer.body;
  };
  const app = await graph('merlon.totp', { displayName: 'Phone' });
  secret = app.secretKey;
  await graph(`merlon.totp/${app.id}/confirm`, { code: await freshCode() });

  server.merlon('step-up', 'set', 'groups', '--scope', `/subscriptions/${server.subscription}`, '--minutes', '15',
    '--action', 'Microsoft.Resources/subscriptions/resourceGroups/write');
  const asked = prompts.length;
  const made = await client.resourceGroups.createOrUpdate('after', { location: 'local' });
  assert.equal(made.name, 'after');
  assert.deepEqual(prompts.slice(asked).map((prompt) => prompt.includes('second factor')), [true]);
  const { token } = await credential.getToken(`${server.endpoint}/.default`, { enableCae: true });
  assert.ok(claimsOf(token).amr.includes('mfa'));
  await client.resourceGroups.createOrUpdate('again', { location: 'local' });
  assert.equal(prompts.length, asked + 1, 'once is enough');
});
