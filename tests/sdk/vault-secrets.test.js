// @azure/arm-keyvault and @azure/keyvault-secrets: vaults and what is kept in them.
import { SecretClient } from '@azure/keyvault-secrets';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { collect, restError, startServer } from './server.js';
import { giveRole, keyVaultError, vaultClient, vaultProperties } from './vault.js';

let server, client, vault, secrets;
const secretsAs = (credential, url = vault.properties.vaultUri) => new SecretClient(url, credential, server.trust);

before(async () => {
  server = await startServer();
  client = await vaultClient(server);
  vault = await client.vaults.createOrUpdate('rg', 'kv-one', { location: 'local', properties: vaultProperties(server) });
  giveRole(server, server.first.clientId, 'Key Vault Administrator', vault.id);
  secrets = secretsAs(server.credential());
});
after(() => server?.stop());

test('a vault, its defaults and its lists', async () => {
  assert.equal(vault.properties.provisioningState, 'Succeeded');
  assert.equal(vault.properties.softDeleteRetentionInDays, 90);
  assert.equal(vault.properties.enableSoftDelete, true);
  assert.match(vault.properties.vaultUri, /^https:\/\/kv-one\.vault\./);
  assert.deepEqual((await collect(client.vaults.listByResourceGroup('rg'))).map((v) => v.name), ['kv-one']);
  assert.deepEqual((await collect(client.vaults.listBySubscription())).map((v) => v.name), ['kv-one']);
  const changed = await client.vaults.update('rg', 'kv-one', { tags: { tier: 'gold' } });
  assert.deepEqual(changed.tags, { tier: 'gold' });
  assert.deepEqual(await client.vaults.checkNameAvailability({ name: 'kv-one', type: 'Microsoft.KeyVault/vaults' })
    .then((r) => [r.nameAvailable, r.reason]), [false, 'AlreadyExists']);
  assert.equal((await client.vaults.checkNameAvailability({ name: 'kv-free', type: 'Microsoft.KeyVault/vaults' })).nameAvailable, true);
  await assert.rejects(client.vaults.createOrUpdate('rg', '1bad', { location: 'local', properties: vaultProperties(server) }),
    restError(400, 'InvalidResourceName'));
});

test('a secret: set, get, versions, update', async () => {
  const first = await secrets.setSecret('db-password', 'correct horse', { contentType: 'text/plain', tags: { a: '1' } });
  assert.equal(first.value, 'correct horse');
  assert.match(first.properties.version, /^[0-9a-f]{32}$/);
  assert.equal(first.properties.recoveryLevel, 'Recoverable+Purgeable');
  const second = await secrets.setSecret('db-password', 'battery staple');
  assert.equal((await secrets.getSecret('db-password')).value, 'battery staple');
  const old = await secrets.getSecret('db-password', { version: first.properties.version });
  assert.deepEqual([old.value, old.properties.contentType, old.properties.tags], ['correct horse', 'text/plain', { a: '1' }]);
  const versions = await collect(secrets.listPropertiesOfSecretVersions('db-password'));
  assert.deepEqual(versions.map((v) => v.version).sort(), [first.properties.version, second.properties.version].sort());
  const expiresOn = new Date('2030-01-01T00:00:00Z');
  const updated = await secrets.updateSecretProperties('db-password', second.properties.version, { expiresOn, contentType: 'x' });
  assert.deepEqual([updated.expiresOn, updated.contentType], [expiresOn, 'x']);
  await secrets.updateSecretProperties('db-password', first.properties.version, { enabled: false });
  await assert.rejects(secrets.getSecret('db-password', { version: first.properties.version }),
    keyVaultError(403, 'Forbidden', 'SecretDisabled'));
  assert.equal((await secrets.getSecret('db-password')).value, 'battery staple');
});

test('what is wrong is refused and changes nothing', async () => {
  await assert.rejects(secrets.getSecret('nothing'), keyVaultError(404, 'SecretNotFound'));
  await assert.rejects(secrets.setSecret('no_underscores', 'x'), keyVaultError(400, 'BadParameter'));
  await assert.rejects(secrets.setSecret('long', 'x'.repeat(25601)), keyVaultError(400, 'BadParameter'));
  await assert.rejects(
    secrets.setSecret('dates', 'x', { notBefore: new Date('2030-01-02'), expiresOn: new Date('2030-01-01') }),
    keyVaultError(400, 'BadParameter'));
  for (const name of ['long', 'dates']) await assert.rejects(secrets.getSecret(name), keyVaultError(404, 'SecretNotFound'));
});

test('lists come page by page', async () => {
  const names = Array.from({ length: 30 }, (_, i) => `page-${String(i).padStart(2, '0')}`);
  await Promise.all(names.map((name) => secrets.setSecret(name, `value of ${name}`)));
  const found = (await collect(secrets.listPropertiesOfSecrets())).map((p) => p.name).filter((n) => n.startsWith('page-'));
  assert.deepEqual(found, names);
  const sizes = [];
  for await (const page of secrets.listPropertiesOfSecrets().byPage({ maxPageSize: 7 })) sizes.push(page.length);
  assert.ok(sizes.length >= 5 && sizes.every((size) => size <= 7), sizes.join());
});

test('soft delete, recovery and purge', async () => {
  const made = await secrets.setSecret('gone', 'precious');
  const deleted = await (await secrets.beginDeleteSecret('gone')).pollUntilDone();
  assert.match(deleted.recoveryId, /\/deletedsecrets\/gone$/);
  assert.ok(deleted.scheduledPurgeDate > deleted.deletedOn);
  await assert.rejects(secrets.getSecret('gone'), keyVaultError(404, 'SecretNotFound'));
  await assert.rejects(secrets.setSecret('gone', 'new'), keyVaultError(409, 'Conflict', 'ObjectIsDeletedButRecoverable'));
  assert.deepEqual((await collect(secrets.listDeletedSecrets())).map((s) => s.name), ['gone']);
  await (await secrets.beginRecoverDeletedSecret('gone')).pollUntilDone();
  const back = await secrets.getSecret('gone');
  assert.deepEqual([back.value, back.properties.version], ['precious', made.properties.version]);
  await (await secrets.beginDeleteSecret('gone')).pollUntilDone();
  await secrets.purgeDeletedSecret('gone');
  await assert.rejects(secrets.getDeletedSecret('gone'), keyVaultError(404, 'SecretNotFound'));
  await secrets.setSecret('gone', 'another');
  assert.equal((await collect(secrets.listPropertiesOfSecretVersions('gone'))).length, 1);
});

test('backup and restore', async () => {
  await secrets.setSecret('moved', 'one');
  const { properties } = await secrets.setSecret('moved', 'two', { tags: { k: 'v' } });
  const backup = await secrets.backupSecret('moved');
  assert.ok(!Buffer.from(backup).includes('two'));
  await assert.rejects(secrets.restoreSecretBackup(backup), keyVaultError(409, 'Conflict'));
  await (await secrets.beginDeleteSecret('moved')).pollUntilDone();
  await secrets.purgeDeletedSecret('moved');
  const restored = await secrets.restoreSecretBackup(backup);
  assert.deepEqual([restored.version, restored.tags], [properties.version, { k: 'v' }]);
  assert.equal((await secrets.getSecret('moved')).value, 'two');
  const forged = Buffer.from(backup);
  forged[forged.length - 8] ^= 1;
  await assert.rejects(secrets.restoreSecretBackup(forged), keyVaultError(400, 'BadParameter'));
});

test('roles decide, down to one secret; access policies when the vault says so', async () => {
  const reader = server.application('reader', '--secret');
  const asReader = secretsAs(server.credential(reader.clientId, reader.clientSecret));
  await assert.rejects(asReader.getSecret('db-password'), keyVaultError(403, 'Forbidden', 'ForbiddenByRbac'));
  giveRole(server, reader.clientId, 'Key Vault Secrets User', `${vault.id}/secrets/db-password`);
  assert.equal((await asReader.getSecret('db-password')).value, 'battery staple');
  await assert.rejects(asReader.getSecret('page-01'), keyVaultError(403, 'Forbidden', 'ForbiddenByRbac'));
  await assert.rejects(asReader.setSecret('db-password', 'mine'), keyVaultError(403, 'Forbidden', 'ForbiddenByRbac'));

  const old = await client.vaults.createOrUpdate('rg', 'kv-policies', {
    location: 'local',
    properties: vaultProperties(server, {
      enableRbacAuthorization: false,
      accessPolicies: [{ tenantId: server.tenant, objectId: reader.objectId, permissions: { secrets: ['get', 'set'] } }],
    }),
  });
  const inOld = secretsAs(server.credential(reader.clientId, reader.clientSecret), old.properties.vaultUri);
  await inOld.setSecret('s', 'v');
  assert.equal((await inOld.getSecret('s')).value, 'v');
  await assert.rejects(collect(inOld.listPropertiesOfSecrets()), keyVaultError(403, 'Forbidden'));
  await client.vaults.updateAccessPolicy('rg', 'kv-policies', 'add', {
    properties: { accessPolicies: [{ tenantId: server.tenant, objectId: reader.objectId, permissions: { secrets: ['list'] } }] },
  });
  assert.deepEqual((await collect(inOld.listPropertiesOfSecrets())).map((s) => s.name), ['s']);
  // The first principal owns everything, and has no access policy.
  await assert.rejects(secretsAs(server.credential(), old.properties.vaultUri).getSecret('s'),
    keyVaultError(403, 'Forbidden', 'AccessDenied'));
});

test('the firewall looks at where the caller is', async () => {
  const shut = { location: 'local', properties: vaultProperties(server, { networkAcls: { defaultAction: 'Deny', bypass: 'None', ipRules: [{ value: '198.51.100.0/24' }] } }) };
  const made = await client.vaults.createOrUpdate('rg', 'kv-shut', shut);
  giveRole(server, server.first.clientId, 'Key Vault Administrator', made.id);
  const inShut = secretsAs(server.credential(), made.properties.vaultUri);
  await assert.rejects(inShut.setSecret('s', 'v'), keyVaultError(403, 'Forbidden', 'ForbiddenByFirewall'));
  shut.properties.networkAcls.ipRules = [{ value: '127.0.0.1' }, { value: '::1' }];
  await client.vaults.createOrUpdate('rg', 'kv-shut', shut);
  await inShut.setSecret('s', 'v');
  await client.vaults.update('rg', 'kv-shut', { properties: { publicNetworkAccess: 'Disabled' } });
  await assert.rejects(inShut.getSecret('s'), keyVaultError(403, 'Forbidden', 'ForbiddenByConnection'));
});

test('a vault is deleted softly, recovered, and purged unless it is protected', async () => {
  const made = await client.vaults.createOrUpdate('rg', 'kv-temp', { location: 'local', properties: vaultProperties(server) });
  giveRole(server, server.first.clientId, 'Key Vault Administrator', made.id);
  const inside = secretsAs(server.credential(), made.properties.vaultUri);
  await inside.setSecret('kept', 'still here');
  await client.vaults.delete('rg', 'kv-temp');
  await assert.rejects(inside.getSecret('kept'), keyVaultError(404, 'VaultNotFound'));
  const gone = await client.vaults.getDeleted('kv-temp', 'local');
  assert.equal(gone.properties.vaultId, made.id);
  assert.deepEqual((await collect(client.vaults.listDeleted())).map((v) => v.name), ['kv-temp']);
  await assert.rejects(client.vaults.createOrUpdate('rg', 'kv-temp', { location: 'local', properties: vaultProperties(server) }),
    restError(409, 'ConflictError'));
  await client.vaults.createOrUpdate('rg', 'kv-temp', { location: 'local', properties: vaultProperties(server, { createMode: 'recover' }) });
  // Its role assignments went with it, as in Azure.
  await assert.rejects(inside.getSecret('kept'), keyVaultError(403, 'Forbidden', 'ForbiddenByRbac'));
  giveRole(server, server.first.clientId, 'Key Vault Administrator', made.id);
  assert.equal((await inside.getSecret('kept')).value, 'still here');
  await client.vaults.delete('rg', 'kv-temp');
  await client.vaults.purgeDeleted('kv-temp', 'local');
  await assert.rejects(client.vaults.getDeleted('kv-temp', 'local'), restError(404, 'VaultNotFound'));

  await client.vaults.createOrUpdate('rg', 'kv-safe', { location: 'local', properties: vaultProperties(server, { enablePurgeProtection: true, softDeleteRetentionInDays: 7 }) });
  await assert.rejects(client.vaults.update('rg', 'kv-safe', { properties: { enablePurgeProtection: false } }), restError(400, 'BadRequest'));
  await client.vaults.delete('rg', 'kv-safe');
  await assert.rejects(client.vaults.purgeDeleted('kv-safe', 'local'), restError(403, 'Forbidden'));
});

test('a token for something else opens no vault, and a vault answers nothing else', async () => {
  const url = vault.properties.vaultUri;
  const arm = await server.credential().getToken('https://management.azure.com/.default');
  const kv = await server.credential().getToken('https://vault.azure.net/.default');
  const get = (path, token) => server.request('GET', url.replace(/\/$/, '') + path, token);
  const asked = await get('/secrets/db-password?api-version=7.4');
  assert.equal(asked.status, 401);
  assert.match(asked.headers['www-authenticate'], /^Bearer authorization="https:\/\/[^/]+\/[0-9a-f-]{36}", resource="https:\/\/vault\.[^"]+"$/);
  assert.equal((await get('/secrets/db-password?api-version=7.4', arm.token)).status, 401);
  assert.equal((await get('/secrets/db-password?api-version=7.4', kv.token)).status, 200);
  assert.equal((await get('/secrets/db-password', kv.token)).status, 400);
  assert.equal((await get('/subscriptions?api-version=2022-12-01', arm.token)).status, 401);
  assert.equal((await get('/subscriptions?api-version=2022-12-01', kv.token)).status, 404);
  const control = await server.request('GET', `${server.endpoint.replace(/\/$/, '')}/subscriptions?api-version=2022-12-01`, kv.token);
  assert.equal(control.status, 401);
});

test('each operation is in the ledger, and no value is', async () => {
  await assert.rejects(secretsAs(server.credential(server.application('nobody', '--secret').clientId, 'wrong')).getSecret('db-password'));
  const entries = server.merlon('ledger', 'export');
  for (const action of ['secrets/setSecret/action', 'secrets/getSecret/action', 'secrets/delete', 'secrets/backup/action', 'secrets/purge/action'])
    assert.ok(entries.includes(`Microsoft.KeyVault/vaults/${action}`), action);
  for (const value of ['correct horse', 'battery staple', 'precious', 'still here']) assert.ok(!entries.includes(value), value);
});
