// @azure/identity: secret, certificate, what is refused, and the set-up that README.md tells people to use.
import { ClientCertificateCredential } from '@azure/identity';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from './server.js';

let server;
before(async () => {
  server = await startServer();
});
after(() => server?.stop());

const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

test('a secret gives a token for the Resource Manager', async () => {
  const token = await server.credential().getToken(`${server.endpoint}/.default`);
  assert.ok(token.expiresOnTimestamp > Date.now() + 30 * 60_000);
  const claims = claimsOf(token.token);
  assert.equal(claims.tid, server.tenant);
  assert.equal(claims.appid, server.first.clientId);
  assert.equal(claims.idtyp, 'app');
});

test('so does the audience of the public cloud', async () => {
  const token = await server.credential().getToken('https://management.azure.com/.default');
  assert.equal(claimsOf(token.token).tid, server.tenant);
});

test('a certificate gives one', async () => {
  const key = join(server.directory, 'app.key');
  const certificate = join(server.directory, 'app.crt');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=sdk-test',
    '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  const application = server.application('sdk-certificate', '--certificate', certificate);
  const credential = new ClientCertificateCredential(server.tenant, application.clientId,
    { certificate: readFileSync(key, 'utf8') + readFileSync(certificate, 'utf8') }, server.authority());
  const token = await credential.getToken(`${server.endpoint}/.default`);
  assert.equal(claimsOf(token.token).appid, application.clientId);
});

test('a wrong secret is refused with Entra\'s number', async () => {
  const credential = server.credential(server.first.clientId, 'wrong');
  await assert.rejects(credential.getToken(`${server.endpoint}/.default`), (error) => {
    assert.equal(error.name, 'AuthenticationRequiredError'); // what @azure/identity 4 makes of every server error
    assert.match(error.message, /AADSTS7000215|7000215/);
    return true;
  });
});

test('an unknown application is one too', async () => {
  const credential = server.credential('99999999-9999-9999-9999-999999999999', 'wrong');
  await assert.rejects(credential.getToken(`${server.endpoint}/.default`), /700016|AADSTS/);
});

test('a scope that is nobody\'s is refused', async () => {
  await assert.rejects(server.credential().getToken('https://nothing.example/.default'), /AADSTS(500011|70011)/);
});

test('the set-up in README.md works as it stands there', () => {
  const text = readFileSync(join(process.env.MERLON_ROOT, 'README.md'), 'utf8');
  const snippet = /```js\n([\s\S]*?)```/.exec(text)?.[1];
  assert.ok(snippet?.includes('disableInstanceDiscovery'), 'README.md has no JavaScript that signs in');
  // In this directory: that is where Node finds the packages.
  const file = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, 'readme-snippet.mjs');
  writeFileSync(file, snippet);
  const said = execFileSync(process.execPath, [file], {
    encoding: 'utf8',
    env: {
      ...process.env,
      NODE_EXTRA_CA_CERTS: server.caFile,
      MERLON_ENDPOINT: server.endpoint,
      MERLON_TENANT: server.tenant,
      MERLON_SUBSCRIPTION: server.subscription,
      MERLON_CLIENT_ID: server.first.clientId,
      MERLON_CLIENT_SECRET: server.first.clientSecret,
    },
  });
  assert.match(said, /\bdemo\b/);
});
