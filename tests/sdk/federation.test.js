// Workloads without secrets: @azure/identity's WorkloadIdentityCredential and ClientAssertionCredential with tokens of a
// foreign OIDC issuer (made with jose, behind an authority of its own), for an application and for a user-assigned
// identity that @azure/arm-msi made.
import { ManagedServiceIdentityClient } from '@azure/arm-msi';
import { AuthorizationManagementClient } from '@azure/arm-authorization';
import { ComputeManagementClient } from '@azure/arm-compute';
import { ResourceManagementClient } from '@azure/arm-resources';
import { ClientAssertionCredential, WorkloadIdentityCredential } from '@azure/identity';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { collect, restError, startServer } from './server.js';

const audience = 'api://AzureADTokenExchange';
const subject = 'system:serviceaccount:shop:cart';
let issuer, server, msi, resources;

// An issuer as a cluster has one: discovery, keys, tokens; its certificate comes from nobody that the system knows.
async function startIssuer() {
  const directory = mkdtempSync(join(process.env.MERLON_TMP ?? '/tmp', 'issuer-'));
  const file = (name) => join(directory, name);
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore' });
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=issuer-ca',
    '-addext', 'keyUsage=critical,keyCertSign', '-keyout', file('ca.key'), '-out', file('ca.crt'));
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=issuer', '-keyout', file('tls.key'),
    '-out', file('tls.csr'));
  writeFileSync(file('san'), 'subjectAltName=IP:127.0.0.1\n');
  openssl('x509', '-req', '-days', '2', '-in', file('tls.csr'), '-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-CAcreateserial',
    '-extfile', file('san'), '-out', file('tls.crt'));
  const self = { directory, ca: readFileSync(file('ca.crt'), 'utf8'), asked: [] };
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'first', use: 'sig', alg: 'RS256' };
  self.http = createServer({ key: readFileSync(file('tls.key')), cert: readFileSync(file('tls.crt')) }, (asked, answer) => {
    self.asked.push(asked.url);
    const documents = {
      '/.well-known/openid-configuration': { issuer: self.url, jwks_uri: `${self.url}/openid/v1/jwks` },
      '/openid/v1/jwks': { keys: [jwk] },
    };
    answer.statusCode = asked.url in documents ? 200 : 404;
    answer.end(JSON.stringify(documents[asked.url] ?? {}));
  });
  await new Promise((resolve) => self.http.listen(0, '127.0.0.1', resolve));
  self.url = `https://127.0.0.1:${self.http.address().port}`;
  self.token = (claims = {}) => new SignJWT({ jti: randomUUID(), ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: 'first' }).setIssuer(self.url).setAudience([claims.audience ?? audience])
    .setSubject(claims.subject ?? subject).setIssuedAt().setNotBefore('0s').setExpirationTime('1h').sign(privateKey);
  return self;
}

// What no SDK of Azure's has a word for: a request with the administrator's token.
async function send(method, path, body) {
  const { token } = await server.credential().getToken(`${server.endpoint}/.default`);
  return new Promise((resolve, reject) => {
    const sent = request(server.endpoint + path, {
      method, ca: server.ca, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    }, (answer) => {
      let text = '';
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => resolve({ status: answer.statusCode, body: text ? JSON.parse(text) : {} }));
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
const tokenOf = (credential) => credential.getToken(`${server.endpoint}/.default`);
// @azure/identity reads the file again for every token (after five minutes in its cache), so each has its own file.
async function workload(clientId, claims) {
  const tokenFilePath = join(issuer.directory, randomUUID());
  writeFileSync(tokenFilePath, await issuer.token(claims));
  return new WorkloadIdentityCredential({ tenantId: server.tenant, clientId, tokenFilePath, ...server.authority() });
}

before(async () => {
  issuer = await startIssuer();
  server = await startServer('--private-issuer', issuer.url);
  msi = new ManagedServiceIdentityClient(server.credential(), server.subscription, server.options());
  resources = new ResourceManagementClient(server.credential(), server.subscription, server.options());
  await resources.resourceGroups.createOrUpdate('rg', { location: 'local' });
});
after(async () => {
  await server?.stop();
  issuer?.http.closeAllConnections();
  issuer?.http.close();
});

test('an application signs in with a foreign token, and stops when its credential is gone', async () => {
  const application = server.application('ci');
  const { body: found } = await send('GET', `/v1.0/applications?$filter=appId eq '${application.clientId}'`.replaceAll(' ', '%20'));
  const path = `/v1.0/applications/${found.value[0].id}/federatedIdentityCredentials`;
  await assert.rejects(tokenOf(await workload(application.clientId)), /700211/);
  const made = await send('POST', path, {
    name: 'cluster', issuer: issuer.url, subject, audiences: [audience], '@merlon.issuerAuthorities': issuer.ca,
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  assert.deepEqual((await send('GET', `${path}/cluster`)).body.audiences, [audience]);
  assert.equal((await send('GET', path)).body.value.length, 1);
  const { token } = await tokenOf(await workload(application.clientId));
  assert.equal(claimsOf(token).oid, application.objectId);
  assert.equal(claimsOf(token).appidacr, '2');
  const asked = issuer.asked.length;
  const credential = new ClientAssertionCredential(server.tenant, application.clientId, () => issuer.token(), server.authority());
  assert.equal(claimsOf((await tokenOf(credential)).token).appid, application.clientId);
  assert.equal(issuer.asked.length, asked, 'the issuer\'s keys are kept');
  await assert.rejects(tokenOf(await workload(application.clientId, { subject: 'somebody' })), /700213/);
  await assert.rejects(tokenOf(await workload(application.clientId, { audience: 'api://other' })), /700212/);
  assert.equal((await send('POST', path, { name: 'twin', issuer: issuer.url, subject, audiences: [audience] })).status, 409);
  assert.equal((await send('POST', path, { name: 'x', issuer: 'http://plain', subject, audiences: [audience] })).status, 400);
  assert.equal((await send('DELETE', `${path}/${made.body.id}`)).status, 204);
  await assert.rejects(tokenOf(await workload(application.clientId)), /700211/);
});

test('a user-assigned identity: made, found, trusted, and gone', async () => {
  const identity = await msi.userAssignedIdentities.createOrUpdate('rg', 'shop', { location: 'local', tags: { a: 'b' } });
  assert.equal(identity.tenantId, server.tenant);
  assert.match(identity.principalId, /^[0-9a-f-]{36}$/);
  const again = await msi.userAssignedIdentities.createOrUpdate('rg', 'shop', { location: 'local' });
  assert.deepEqual([again.principalId, again.clientId], [identity.principalId, identity.clientId]);
  assert.deepEqual((await collect(msi.userAssignedIdentities.listByResourceGroup('rg'))).map((one) => one.name), ['shop']);
  assert.equal((await collect(msi.userAssignedIdentities.listBySubscription())).length, 1);
  assert.deepEqual((await msi.userAssignedIdentities.update('rg', 'shop', { tags: { c: 'd' } })).tags, { c: 'd' });
  const { body: principal } = await send('GET', `/v1.0/servicePrincipals/${identity.principalId}`);
  assert.equal(principal.servicePrincipalType, 'ManagedIdentity');
  assert.equal(principal.alternativeNames[1], identity.id);
  assert.equal((await send('DELETE', `/v1.0/servicePrincipals/${identity.principalId}`)).status, 400);

  const credentials = msi.federatedIdentityCredentials;
  const url = `${identity.id}/federatedIdentityCredentials/cluster`;
  const pinned = await send('PUT', `${url}?api-version=2024-11-30`, {
    properties: { issuer: issuer.url, subject, audiences: [audience], issuerAuthorities: issuer.ca },
  });
  assert.equal(pinned.status, 201, JSON.stringify(pinned.body));
  // An SDK's model has no word for the pinned authority, and its PUT must not take it away.
  const written = await credentials.createOrUpdate('rg', 'shop', 'cluster', { issuer: issuer.url, subject, audiences: [audience] });
  assert.equal(written.subject, subject);
  assert.equal((await send('GET', `${url}?api-version=2024-11-30`)).body.properties.issuerAuthorities, issuer.ca);
  assert.equal((await credentials.get('rg', 'shop', 'cluster')).issuer, issuer.url);
  for (let i = 0; i < 24; ++i)
    await credentials.createOrUpdate('rg', 'shop', `more-${i}`, { issuer: issuer.url, subject: `more ${i}`, audiences: [audience] });
  assert.equal((await collect(credentials.list('rg', 'shop'))).length, 25);
  await assert.rejects(credentials.createOrUpdate('rg', 'shop', 'twin', { issuer: issuer.url, subject, audiences: [audience] }),
    restError(409, 'Conflict'));
  await assert.rejects(credentials.createOrUpdate('rg', 'shop', 'odd', { issuer: 'http://plain', subject: 'x', audiences: [audience] }),
    restError(400, 'BadRequest'));

  const { token } = await tokenOf(await workload(identity.clientId));
  const claims = claimsOf(token);
  assert.equal(claims.oid, identity.principalId);
  assert.equal(claims.xms_mirid, identity.id);
  const theirs = new ResourceManagementClient({ getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3e6 }) },
    server.subscription, server.options());
  await assert.rejects(theirs.resourceGroups.get('rg'), restError(403, 'AuthorizationFailed'));
  const authorization = new AuthorizationManagementClient(server.credential(), server.subscription, server.options());
  const scope = `/subscriptions/${server.subscription}/resourceGroups/rg`;
  const [reader] = await collect(authorization.roleDefinitions.list(scope, { filter: 'roleName eq \'Reader\'' }));
  await authorization.roleAssignments.create(scope, randomUUID(),
    { roleDefinitionId: reader.id, principalId: identity.principalId, principalType: 'ServicePrincipal' });
  assert.equal((await theirs.resourceGroups.get('rg')).name, 'rg');

  // Giving a machine an identity takes the right to assign it.
  const machinist = server.application('machinist', '--secret');
  server.merlon('role', 'assign', '--role', 'Virtual Machine Contributor', '--assignee', machinist.objectId, '--scope', scope);
  const machines = (...who) => new ComputeManagementClient(server.credential(...who), server.subscription, server.options())
    .virtualMachines;
  const machine = { location: 'local', identity: { type: 'UserAssigned', userAssignedIdentities: { [identity.id]: {} } } };
  const asMachinist = machines(machinist.clientId, machinist.clientSecret);
  await assert.rejects(asMachinist.beginCreateOrUpdateAndWait('rg', 'vm', machine), restError(403, 'LinkedAuthorizationFailed'));
  await machines().beginCreateOrUpdateAndWait('rg', 'vm', machine);
  await asMachinist.beginCreateOrUpdateAndWait('rg', 'vm', { ...machine, tags: { a: 'b' } });

  await credentials.delete('rg', 'shop', 'cluster');
  await assert.rejects(tokenOf(await workload(identity.clientId)), /700213/);
  await msi.userAssignedIdentities.delete('rg', 'shop');
  await assert.rejects(theirs.resourceGroups.get('rg'), (error) => error.statusCode === 401);
  await assert.rejects(tokenOf(await workload(identity.clientId)), /700211|700016/);
  await assert.rejects(msi.userAssignedIdentities.get('rg', 'shop'), restError(404, 'ResourceNotFound'));
});
