// People sign in through Azure's own libraries: @azure/identity by device code, @azure/msal-node by authorization code
// with PKCE, silently afterwards, and no more once their session has ended.
import { DeviceCodeCredential } from '@azure/identity';
import { CryptoProvider, PublicClientApplication } from '@azure/msal-node';
import assert from 'node:assert/strict';
import { request } from 'node:https';
import { after, before, test } from 'node:test';
import { Browser } from './browser.js';
import { startServer } from './server.js';

const azureCli = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';
const chosen = 'a Better 1 by far';
let server;
let person;
let browser;
before(async () => {
  server = await startServer();
  person = JSON.parse(server.merlon('user', 'create', '--username', 'ada', '--output', 'json'));
  browser = new Browser(server);
  await browser.open(`${server.endpoint}/devicelogin`);
  await browser.press('sign-in', { username: person.userPrincipalName, password: person.password });
  await browser.press('change-password', { 'new-password': chosen, 'confirm-password': chosen });
  assert.match(browser.page.text, /Enter the code of your device/);
});
after(() => server?.stop());

const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

// msal-node takes its connection from its caller: one that knows the server's authority.
const networkClient = {
  send(method, url, options) {
    return new Promise((resolve, reject) => {
      const sent = request(url, { method, ca: server.ca, headers: options?.headers }, (response) => {
        let text = '';
        response.on('data', (chunk) => { text += chunk; });
        response.on('end', () => resolve({ headers: response.headers, body: JSON.parse(text), status: response.statusCode }));
      });
      sent.on('error', reject);
      sent.end(options?.body);
    });
  },
  sendGetRequestAsync(url, options) { return this.send('GET', url, options); },
  sendPostRequestAsync(url, options) { return this.send('POST', url, options); },
};

const application = () => new PublicClientApplication({
  auth: {
    clientId: azureCli,
    authority: `${server.endpoint}/${server.tenant}`,
    knownAuthorities: [new URL(server.endpoint).host],
  },
  system: { networkClient },
});

test('DeviceCodeCredential', async () => {
  const credential = new DeviceCodeCredential({
    tenantId: server.tenant,
    clientId: azureCli,
    ...server.authority(),
    async userPromptCallback({ userCode, verificationUri }) {
      assert.equal(verificationUri, `${server.endpoint}/devicelogin`);
      await browser.open(verificationUri);
      await browser.press('find-code', { user_code: userCode });
      assert.match(browser.page.text, /Azure CLI/);
      await browser.press('approve');
    },
  });
  const token = await credential.getToken(`${server.endpoint}/.default`);
  const claims = claimsOf(token.token);
  assert.equal(claims.upn, person.userPrincipalName);
  assert.equal(claims.idtyp, 'user');
});

test('authorization code with PKCE, then silently, then revoked', async () => {
  const app = application();
  const { verifier, challenge } = await new CryptoProvider().generatePkceCodes();
  const asked = { scopes: [`${server.endpoint}/.default`], redirectUri: 'http://localhost:48123' };
  const url = await app.getAuthCodeUrl({ ...asked, codeChallenge: challenge, codeChallengeMethod: 'S256', state: 's' });
  const page = await browser.open(url);
  assert.equal(page.status, 200, 'an application on the person\'s own machine gets no code by itself');
  assert.match(page.text, /to continue to Azure CLI/);
  const answer = await browser.press('continue');
  assert.equal(answer.status, 303);
  const location = new URL(answer.headers.location);
  assert.equal(location.origin, 'http://localhost:48123');
  assert.equal(location.searchParams.get('state'), 's');
  const code = location.searchParams.get('code');
  await assert.rejects(app.acquireTokenByCode({ ...asked, code, codeVerifier: 'x'.repeat(43) }), /50148/);
  const result = await app.acquireTokenByCode({ ...asked, code, codeVerifier: verifier });
  assert.equal(result.account.username, person.userPrincipalName);
  const silent = await app.acquireTokenSilent({ scopes: asked.scopes, account: result.account, forceRefresh: true });
  assert.notEqual(silent.accessToken, result.accessToken);
  assert.equal(claimsOf(silent.accessToken).sid, claimsOf(result.accessToken).sid);

  server.merlon('session', 'revoke', claimsOf(result.accessToken).sid);
  await assert.rejects(app.acquireTokenSilent({ scopes: asked.scopes, account: result.account, forceRefresh: true }),
    (error) => error.errorCode === 'invalid_grant' || /invalid_grant|interaction/i.test(String(error)));
});

test('a code that is used twice ends what it gave', async () => {
  const { verifier, challenge } = await new CryptoProvider().generatePkceCodes();
  const asked = { scopes: [`${server.endpoint}/.default`], redirectUri: 'http://localhost:48123' };
  const app = application();
  await browser.open(await app.getAuthCodeUrl({ ...asked, codeChallenge: challenge, codeChallengeMethod: 'S256' }));
  const answer = await browser.press('continue');
  const code = new URL(answer.headers.location).searchParams.get('code');
  const result = await app.acquireTokenByCode({ ...asked, code, codeVerifier: verifier });
  await assert.rejects(application().acquireTokenByCode({ ...asked, code, codeVerifier: verifier }), /54005/);
  await assert.rejects(app.acquireTokenSilent({ scopes: asked.scopes, account: result.account, forceRefresh: true }));
});
