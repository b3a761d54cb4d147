// @azure/keyvault-keys with keys in a hardware token (SoftHSM): what the client asks for with `hsm: true`.
import { CryptographyClient, KeyClient } from '@azure/keyvault-keys';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { collect, startServer } from './server.js';
import { giveRole, keyVaultError, vaultClient, vaultProperties } from './vault.js';

let server, vaults, keys;
before(async () => {
  const scratch = mkdtempSync(join(process.env.MERLON_TMP ?? '/tmp', 'hsm-'));
  mkdirSync(join(scratch, 'tokens'));
  process.env.SOFTHSM2_CONF = join(scratch, 'softhsm2.conf');
  writeFileSync(process.env.SOFTHSM2_CONF, `directories.tokendir = ${join(scratch, 'tokens')}\nobjectstore.backend = file\n`);
  writeFileSync(join(scratch, 'pin'), '1234\n', { mode: 0o600 });
  execFileSync('softhsm2-util', ['--init-token', '--free', '--label', 'merlon', '--pin', '1234', '--so-pin', '5678']);
  server = await startServer('--hsm',
    `pkcs11:token=merlon?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:${join(scratch, 'pin')}`);
  vaults = (await vaultClient(server)).vaults;
  keys = await keysOf('kv-premium', 'premium');
});
after(() => server?.stop());

async function keysOf(name, sku) {
  const vault = await vaults.createOrUpdate('rg', name,
    { location: 'local', properties: vaultProperties(server, { sku: { family: 'A', name: sku } }) });
  giveRole(server, server.first.clientId, 'Key Vault Administrator', vault.id);
  return new KeyClient(vault.properties.vaultUri, server.credential(), server.trust);
}
const remote = (key) => new CryptographyClient(key.id, server.credential(), server.trust);
const local = (key) => new CryptographyClient({ ...key.key, kty: key.key.kty.replace('-HSM', '') });
const digest = (bits) => createHash(`sha${bits}`).update('what was meant').digest();

test('RSA: signed in the token, verified in the client', async () => {
  const key = await keys.createRsaKey('rsa', { hsm: true, keySize: 2048 });
  assert.equal(key.keyType, 'RSA-HSM');
  assert.equal(key.key.d, undefined);
  for (const algorithm of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']) {
    const hash = digest(Number(algorithm.slice(2)));
    const { result } = await remote(key).sign(algorithm, hash);
    assert.ok((await remote(key).verify(algorithm, hash, result)).result);
    if (algorithm.startsWith('RS'))
      assert.ok((await local(key).verifyData(algorithm, Buffer.from('what was meant'), result)).result);
  }
  const secret = randomBytes(32);
  for (const algorithm of ['RSA-OAEP', 'RSA-OAEP-256']) {
    const wrapped = await remote(key).wrapKey(algorithm, secret);
    assert.deepEqual(Buffer.from((await remote(key).unwrapKey(algorithm, wrapped.result)).result), secret);
    const sealed = await remote(key).encrypt({ algorithm, plaintext: secret });
    assert.deepEqual(Buffer.from((await remote(key).decrypt({ algorithm, ciphertext: sealed.result })).result), secret);
  }
});

test('EC and symmetric keys', async () => {
  for (const [curve, algorithm, bits] of [['P-256', 'ES256', 256], ['P-384', 'ES384', 384], ['P-521', 'ES512', 512]]) {
    const key = await keys.createEcKey(`ec-${bits}`, { hsm: true, curve });
    assert.equal(key.keyType, 'EC-HSM');
    const { result } = await remote(key).sign(algorithm, digest(bits));
    assert.ok((await remote(key).verify(algorithm, digest(bits), result)).result);
  }
  const key = await keys.createOctKey('oct', { hsm: true, keySize: 256 });
  assert.equal(key.keyType, 'oct-HSM');
  const secret = randomBytes(32);
  const wrapped = await remote(key).wrapKey('A256KW', secret);
  assert.deepEqual(Buffer.from((await remote(key).unwrapKey('A256KW', wrapped.result)).result), secret);
  const sealed = await remote(key).encrypt({ algorithm: 'A256GCM', plaintext: secret });
  const opened = await remote(key).decrypt({ algorithm: 'A256GCM', ciphertext: sealed.result, iv: sealed.iv, authenticationTag: sealed.authenticationTag });
  assert.deepEqual(Buffer.from(opened.result), secret);
});

test('rotation, deletion, recovery, purge', async () => {
  const first = await keys.createEcKey('turning', { hsm: true });
  const second = await keys.rotateKey('turning');
  assert.equal(second.keyType, 'EC-HSM');
  assert.notEqual(second.properties.version, first.properties.version);
  assert.equal((await collect(keys.listPropertiesOfKeyVersions('turning'))).length, 2);
  await (await keys.beginDeleteKey('turning')).pollUntilDone();
  await (await keys.beginRecoverDeletedKey('turning')).pollUntilDone();
  const { result } = await remote(second).sign('ES256', digest(256));
  assert.ok((await remote(second).verify('ES256', digest(256), result)).result);
  await (await keys.beginDeleteKey('turning')).pollUntilDone();
  await keys.purgeDeletedKey('turning');
  await assert.rejects(keys.getKey('turning'), keyVaultError(404, 'KeyNotFound'));
});

test('what is refused', async () => {
  const plain = await keysOf('kv-standard', 'standard');
  await assert.rejects(plain.createRsaKey('rsa', { hsm: true }), keyVaultError(403, 'Forbidden'));
  await keys.createEcKey('stays', { hsm: true });
  await assert.rejects(keys.backupKey('stays'), keyVaultError(501, 'NotSupported'));
});
