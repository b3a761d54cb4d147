// @azure/keyvault-keys: keys of every kind, what is done with them here and what the client does by itself, and
// openssl as the third opinion.
import { CryptographyClient, KeyClient } from '@azure/keyvault-keys';
import { SecretClient } from '@azure/keyvault-secrets';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { collect, restError, startServer } from './server.js';
import { giveRole, keyVaultError, vaultClient, vaultProperties } from './vault.js';

let server, vault, keys, scratch;
before(async () => {
  server = await startServer();
  const client = await vaultClient(server);
  vault = await client.vaults.createOrUpdate('rg', 'kv-keys', { location: 'local', properties: vaultProperties(server) });
  giveRole(server, server.first.clientId, 'Key Vault Administrator', vault.id);
  keys = new KeyClient(vault.properties.vaultUri, server.credential(), server.trust);
  scratch = mkdtempSync(join(process.env.MERLON_TMP ?? '/tmp', 'keys-'));
});
after(() => server?.stop());

const remote = (key) => new CryptographyClient(key.id, server.credential(), server.trust);
const local = (key) => new CryptographyClient(key.key); // no credential: nothing leaves this process
const hash = (bits, data) => createHash(`sha${bits}`).update(data).digest();
const b64 = (bytes) => Buffer.from(bytes).toString('base64url');
const file = (name, content) => {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
};
const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
const curves = { 'P-256': 'P-256', 'P-384': 'P-384', 'P-521': 'P-521', 'P-256K': 'secp256k1' };
// The public half as PEM, for openssl.
function publicPem(key) {
  const jwk = { kty: key.key.kty };
  for (const member of ['n', 'e', 'x', 'y']) if (key.key[member]) jwk[member] = b64(key.key[member]);
  if (key.key.crv) jwk.crv = curves[key.key.crv];
  return createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
}
// r ‖ s as openssl wants it.
function derOfRaw(raw) {
  const half = raw.length / 2;
  const integer = (bytes) => {
    let at = 0;
    while (at < bytes.length - 1 && bytes[at] === 0) at += 1;
    const body = bytes[at] & 0x80 ? Buffer.concat([Buffer.from([0]), bytes.subarray(at)]) : bytes.subarray(at);
    return Buffer.concat([Buffer.from([2, body.length]), body]);
  };
  const body = Buffer.concat([integer(raw.subarray(0, half)), integer(raw.subarray(half))]);
  return Buffer.concat([Buffer.from(body.length > 127 ? [0x30, 0x81, body.length] : [0x30, body.length]), body]);
}
// What no client of npm sends: symmetric keys, and requests that are wrong.
async function raw(method, path, body) {
  const token = (await server.credential().getToken('https://vault.azure.net/.default')).token;
  return server.request(method, `${vault.properties.vaultUri}${path}?api-version=7.5`, token, body);
}

test('a key: create, versions, update, lists, deletion', async () => {
  const made = await keys.createRsaKey('first', { keySize: 2048, tags: { a: '1' } });
  assert.equal(made.keyType, 'RSA');
  assert.deepEqual(made.keyOperations, ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey']);
  assert.deepEqual([made.key.n.length, Buffer.from(made.key.e).toString('hex')], [256, '010001']);
  assert.equal(made.key.d, undefined);
  const second = await keys.createEcKey('first', { curve: 'P-384' });
  assert.equal((await keys.getKey('first')).properties.version, second.properties.version);
  assert.equal((await keys.getKey('first', { version: made.properties.version })).keyType, 'RSA');
  assert.equal((await collect(keys.listPropertiesOfKeyVersions('first'))).length, 2);
  const updated = await keys.updateKeyProperties('first', second.properties.version, { enabled: false, keyOps: ['verify'] });
  assert.deepEqual([updated.properties.enabled, updated.keyOperations], [false, ['verify']]);
  assert.deepEqual((await collect(keys.listPropertiesOfKeys())).map((k) => k.name), ['first']);
  const deleted = await (await keys.beginDeleteKey('first')).pollUntilDone();
  assert.ok(deleted.properties.recoveryId.endsWith('/deletedkeys/first'));
  await assert.rejects(keys.createKey('first', 'EC'), keyVaultError(409, 'Conflict', 'ObjectIsDeletedButRecoverable'));
  await (await keys.beginRecoverDeletedKey('first')).pollUntilDone();
  const backup = await keys.backupKey('first');
  await (await keys.beginDeleteKey('first')).pollUntilDone();
  await keys.purgeDeletedKey('first');
  await assert.rejects(keys.getKey('first'), keyVaultError(404, 'KeyNotFound'));
  const restored = await keys.restoreKeyBackup(backup);
  assert.equal(restored.properties.version, second.properties.version);
});

test('RSA signatures: here, in the client, by openssl', async () => {
  for (const keySize of [2048, 3072, 4096]) {
    const key = await keys.createRsaKey(`rsa-${keySize}`, { keySize });
    const pem = file('rsa.pem', publicPem(key));
    for (const bits of [256, 384, 512]) {
      const digest = hash(bits, 'what was meant');
      for (const family of ['RS', 'PS']) {
        const { result } = await remote(key).sign(`${family}${bits}`, digest);
        assert.ok((await remote(key).verify(`${family}${bits}`, digest, result)).result);
        assert.ok(!(await remote(key).verify(`${family}${bits}`, hash(bits, 'something else'), result)).result);
        if (family === 'RS') assert.ok((await local(key).verifyData(`RS${bits}`, Buffer.from('what was meant'), result)).result);
        const padding = family === 'PS' ? ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'] : [];
        openssl('dgst', `-sha${bits}`, ...padding, '-verify', pem, '-signature', file('sig', result), file('data', 'what was meant'));
      }
      await assert.rejects(remote(key).sign(`RS${bits}`, Buffer.alloc(20)), keyVaultError(400, 'BadParameter'));
    }
  }
});

test('EC signatures on every curve', async () => {
  for (const [curve, algorithm, bits] of [['P-256', 'ES256', 256], ['P-384', 'ES384', 384], ['P-521', 'ES512', 512], ['P-256K', 'ES256K', 256]]) {
    const key = await keys.createEcKey(`ec-${curve.toLowerCase()}`, { curve });
    const digest = hash(bits, 'what was meant');
    const { result } = await remote(key).sign(algorithm, digest);
    assert.ok((await remote(key).verify(algorithm, digest, result)).result);
    const other = Buffer.from(result);
    other[10] ^= 1;
    assert.ok(!(await remote(key).verify(algorithm, digest, other)).result);
    openssl('dgst', `-sha${bits}`, '-verify', file('ec.pem', publicPem(key)), '-signature', file('sig', derOfRaw(Buffer.from(result))),
      file('data', 'what was meant'));
    await assert.rejects(remote(key).sign('RS256', hash(256, 'x')), keyVaultError(400, 'BadParameter'));
  }
});

test('RSA encryption and key wrapping, both ways', async () => {
  const key = await keys.getKey('rsa-2048');
  const pem = file('rsa.pem', publicPem(key));
  const plaintext = Buffer.from('a data key of 32 bytes, or so');
  const modes = { 'RSA1_5': ['pkcs1'], 'RSA-OAEP': ['oaep', 'sha1'], 'RSA-OAEP-256': ['oaep', 'sha256'] };
  for (const [algorithm, [padding, digest]] of Object.entries(modes)) {
    const ours = await remote(key).encrypt({ algorithm, plaintext });
    assert.deepEqual(Buffer.from((await remote(key).decrypt({ algorithm, ciphertext: ours.result })).result), plaintext);
    if (algorithm !== 'RSA-OAEP-256') { // the client does not have it
      const theirs = await local(key).encrypt({ algorithm, plaintext });
      assert.deepEqual(Buffer.from((await remote(key).decrypt({ algorithm, ciphertext: theirs.result })).result), plaintext);
    }
    const options = ['-pkeyopt', `rsa_padding_mode:${padding}`];
    if (digest) options.push('-pkeyopt', `rsa_oaep_md:${digest}`, '-pkeyopt', `rsa_mgf1_md:${digest}`);
    const made = openssl('pkeyutl', '-encrypt', '-pubin', '-inkey', pem, '-in', file('plain', plaintext), ...options);
    assert.deepEqual(Buffer.from((await remote(key).unwrapKey(algorithm, made)).result), plaintext);
    const wrapped = await remote(key).wrapKey(algorithm, plaintext);
    assert.deepEqual(Buffer.from((await remote(key).unwrapKey(algorithm, wrapped.result)).result), plaintext);
  }
  const refusals = [];
  for (const ciphertext of [randomBytes(256), Buffer.alloc(256), Buffer.alloc(256, 255), randomBytes(10)]) {
    await remote(key).decrypt({ algorithm: 'RSA1_5', ciphertext }).catch((error) => refusals.push(`${error.statusCode} ${error.message}`));
  }
  assert.equal(refusals.length, 4);
  assert.equal(new Set(refusals).size, 1, 'one answer, whatever is wrong');
});

test('a key made elsewhere, by openssl, and used on both sides', async () => {
  for (const [name, options] of [['rsa', { modulusLength: 2048 }], ['ec', { namedCurve: 'P-256' }]]) {
    const pair = generateKeyPairSync(name, options);
    const jwk = pair.privateKey.export({ format: 'jwk' });
    const key = {};
    for (const [member, value] of Object.entries(jwk)) key[member] = ['kty', 'crv'].includes(member) ? value : Buffer.from(value, 'base64url');
    const imported = await keys.importKey(`imported-${name}`, key);
    const algorithm = name === 'rsa' ? 'RS256' : 'ES256';
    const { result } = await remote(imported).sign(algorithm, hash(256, 'x'));
    const signature = name === 'rsa' ? Buffer.from(result) : derOfRaw(Buffer.from(result));
    const pem = file('public.pem', pair.publicKey.export({ type: 'spki', format: 'pem' }));
    openssl('dgst', '-sha256', '-verify', pem, '-signature', file('sig', signature), file('data', 'x'));
    const theirs = openssl('dgst', '-sha256', '-sign', file('private.pem', pair.privateKey.export({ type: 'pkcs8', format: 'pem' })), file('data', 'y'));
    if (name === 'rsa') assert.ok((await remote(imported).verify('RS256', hash(256, 'y'), theirs)).result);
  }
  const wrong = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const mixed = { ...wrong, d: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }).d };
  assert.equal((await raw('PUT', 'keys/mixed', { key: mixed })).status, 400);
  assert.equal((await raw('GET', 'keys/mixed')).status, 404);
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ format: 'jwk' });
  assert.equal((await raw('PUT', 'keys/small', { key: small })).status, 400);
});

test('symmetric keys: AES in its modes, HMAC, and openssl again', async () => {
  const material = randomBytes(32);
  const imported = await raw('PUT', 'keys/aes', { key: { kty: 'oct', k: b64(material) } });
  assert.equal(imported.status, 200, imported.text);
  assert.deepEqual(Object.keys(imported.body.key).sort(), ['key_ops', 'kid', 'kty']);
  const use = (verb, body) => raw('POST', `keys/aes/${imported.body.key.kid.split('/').pop()}/${verb}`, body);
  const plaintext = Buffer.from('sixteen bytes ok');
  const gcm = (await use('encrypt', { alg: 'A256GCM', value: b64(plaintext), aad: b64('about') })).body;
  assert.equal(Buffer.from(gcm.iv, 'base64url').length, 12);
  assert.equal((await use('decrypt', { alg: 'A256GCM', value: gcm.value, iv: gcm.iv, tag: gcm.tag, aad: b64('about') })).body.value, b64(plaintext));
  assert.equal((await use('decrypt', { alg: 'A256GCM', value: gcm.value, iv: gcm.iv, tag: gcm.tag, aad: b64('other') })).status, 400);
  assert.equal((await use('encrypt', { alg: 'A256GCM', value: b64(plaintext), iv: gcm.iv })).status, 400);
  assert.equal((await use('encrypt', { alg: 'A128GCM', value: b64(plaintext) })).status, 400);
  const cbc = (await use('encrypt', { alg: 'A256CBCPAD', value: b64('any length') })).body;
  const iv = Buffer.from(cbc.iv, 'base64url').toString('hex');
  const opened = openssl('enc', '-d', '-aes-256-cbc', '-K', material.toString('hex'), '-iv', iv, '-in', file('cbc', Buffer.from(cbc.value, 'base64url')));
  assert.equal(opened.toString(), 'any length');
  assert.equal((await use('encrypt', { alg: 'A256CBC', value: b64('any length') })).status, 400);
  const wrapped = (await use('wrapkey', { alg: 'A256KW', value: b64(plaintext) })).body;
  const unwrapped = openssl('enc', '-d', '-id-aes256-wrap', '-K', material.toString('hex'), '-iv', 'A6A6A6A6A6A6A6A6', '-in', file('kw', Buffer.from(wrapped.value, 'base64url')));
  assert.deepEqual(unwrapped, plaintext);
  assert.equal((await use('unwrapkey', { alg: 'A256KW', value: wrapped.value })).body.value, b64(plaintext));
  const mac = (await use('sign', { alg: 'HS256', value: b64(hash(256, 'm')) })).body;
  const theirs = openssl('dgst', '-sha256', '-mac', 'HMAC', '-macopt', `hexkey:${material.toString('hex')}`, '-binary', file('m', hash(256, 'm')));
  assert.equal(mac.value, b64(theirs));
  const made = await raw('POST', 'keys/made/create', { kty: 'oct', key_size: 128 });
  assert.equal(made.status, 200, made.text);
  assert.equal((await raw('POST', `keys/made/${made.body.key.kid.split('/').pop()}/encrypt`, { alg: 'A128CBCPAD', value: b64('x') })).status, 200);
  assert.equal(Buffer.from((await raw('POST', 'rng', { count: 32 })).body.value, 'base64url').length, 32);
  assert.equal((await raw('POST', 'rng', { count: 129 })).status, 400);
});

test('dates, enabled and key_ops stop what they should', async () => {
  const expired = await keys.createRsaKey('expired', { expiresOn: new Date('2020-01-01') });
  const digest = hash(256, 'x');
  // The client looks at the dates itself; whoever does not is told by the server.
  const sign = (key) => raw('POST', `keys/${key.name}/${key.properties.version}/sign`, { alg: 'RS256', value: b64(digest) })
    .then((answer) => [answer.status, answer.body.error?.innererror?.code]);
  await assert.rejects(remote(expired).sign('RS256', digest), /expired/);
  assert.deepEqual(await sign(expired), [403, 'KeyExpired']);
  assert.equal((await raw('POST', `keys/expired/${expired.properties.version}/decrypt`, { alg: 'RSA1_5', value: b64(randomBytes(256)) })).status, 400);
  const later = await keys.createRsaKey('later', { notBefore: new Date('2037-01-01') });
  assert.deepEqual(await sign(later), [403, 'KeyNotYetValid']);
  const off = await keys.createRsaKey('off', { enabled: false });
  const answer = await raw('POST', `keys/off/${off.properties.version}/verify`, { alg: 'RS256', digest: b64(digest), value: b64(digest) });
  assert.deepEqual([answer.status, answer.body.error.innererror.code], [403, 'KeyDisabled']);
  const narrow = await keys.createRsaKey('narrow', { keyOps: ['sign', 'verify'] });
  const refused = await raw('POST', `keys/narrow/${narrow.properties.version}/encrypt`, { alg: 'RSA-OAEP', value: b64('x') });
  assert.deepEqual([refused.status, refused.body.error.innererror.code], [403, 'KeyOperationForbidden']);
});

test('rotation, by hand and its policy', async () => {
  const made = await keys.createEcKey('turning', { curve: 'P-256' });
  const old = await remote(made).sign('ES256', hash(256, 'x'));
  const turned = await keys.rotateKey('turning');
  assert.notEqual(turned.properties.version, made.properties.version);
  assert.notDeepEqual(turned.key.x, made.key.x);
  assert.ok((await remote(made).verify('ES256', hash(256, 'x'), old.result)).result);
  const policy = await keys.updateKeyRotationPolicy('turning', {
    expiresIn: 'P90D', lifetimeActions: [{ action: 'Rotate', timeBeforeExpiry: 'P30D' }],
  });
  assert.deepEqual([policy.expiresIn, policy.lifetimeActions], ['P90D', [{ action: 'Rotate', timeAfterCreate: undefined, timeBeforeExpiry: 'P30D' }]]);
  const next = await keys.rotateKey('turning');
  const days = (next.properties.expiresOn - next.properties.createdOn) / 86400_000;
  assert.equal(days, 90);
  for (const bad of [{ expiresIn: 'P27D' }, { expiresIn: 'P90D', lifetimeActions: [{ action: 'Rotate', timeBeforeExpiry: 'P86D' }] },
    { lifetimeActions: [{ action: 'Rotate', timeAfterCreate: 'P6D' }] }])
    await assert.rejects(keys.updateKeyRotationPolicy('turning', bad), keyVaultError(400, 'BadParameter'), JSON.stringify(bad));
  assert.equal((await keys.getKeyRotationPolicy('turning')).expiresIn, 'P90D');
});

test('what this server does not have says so', async () => {
  await assert.rejects(keys.createRsaKey('hsm', { hsm: true }), keyVaultError(403, 'Forbidden'), 'a standard vault has none anywhere');
  const premium = await (await vaultClient(server)).vaults.createOrUpdate('rg', 'kv-premium',
    { location: 'local', properties: vaultProperties(server, { sku: { family: 'A', name: 'premium' } }) });
  giveRole(server, server.first.clientId, 'Key Vault Administrator', premium.id);
  const withoutToken = new KeyClient(premium.properties.vaultUri, server.credential(), server.trust);
  await assert.rejects(withoutToken.createRsaKey('hsm', { hsm: true }), keyVaultError(501, 'NotSupported'), 'this server has no token');
  const key = await keys.getKey('turning');
  await assert.rejects(keys.releaseKey('turning', 'attestation', { version: key.properties.version }), (error) => error.code === 'NotSupported');
  const policy = Buffer.from(JSON.stringify({ version: '1.0.0', anyOf: [{ authority: 'https://attest.example', allOf: [] }] }));
  const exportable = await keys.createRsaKey('exportable', { exportable: true, releasePolicy: { encodedPolicy: policy } });
  assert.deepEqual(Buffer.from(exportable.properties.releasePolicy.encodedPolicy), policy);
  await assert.rejects(keys.createRsaKey('naked', { exportable: true }), keyVaultError(400, 'BadParameter'));
});

test('secrets and keys through the Resource Manager', async () => {
  const client = await vaultClient(server);
  const secret = await client.secrets.createOrUpdate('rg', 'kv-keys', 'deployed', { properties: { value: 'by template' }, tags: { a: '1' } });
  assert.match(secret.properties.secretUriWithVersion, /\/secrets\/deployed\/[0-9a-f]{32}$/);
  assert.equal(secret.properties.value, undefined);
  const read = new SecretClient(vault.properties.vaultUri, server.credential(), server.trust);
  assert.equal((await read.getSecret('deployed')).value, 'by template');
  await client.secrets.update('rg', 'kv-keys', 'deployed', { properties: { contentType: 'text/plain' } });
  const shown = await client.secrets.get('rg', 'kv-keys', 'deployed');
  assert.deepEqual([shown.properties.contentType, shown.properties.value, shown.tags], ['text/plain', undefined, { a: '1' }]);
  assert.deepEqual((await collect(client.secrets.list('rg', 'kv-keys'))).map((s) => s.name), ['deployed']);
  const key = await client.keys.createIfNotExist('rg', 'kv-keys', 'arm-key', { properties: { kty: 'EC', curveName: 'P-256' } });
  assert.match(key.keyUriWithVersion, /\/keys\/arm-key\/[0-9a-f]{32}$/);
  const again = await client.keys.createIfNotExist('rg', 'kv-keys', 'arm-key', { properties: { kty: 'RSA' } });
  assert.equal(again.keyUriWithVersion, key.keyUriWithVersion);
  assert.equal((await client.keys.get('rg', 'kv-keys', 'arm-key')).curveName, 'P-256');
  assert.equal((await collect(client.keys.listVersions('rg', 'kv-keys', 'arm-key'))).length, 1);
  assert.ok((await collect(client.keys.list('rg', 'kv-keys'))).some((k) => k.name === 'arm-key'));
  await assert.rejects(client.secrets.createOrUpdate('rg', 'kv-absent', 's', { properties: { value: 'x' } }), restError(404, 'ParentResourceNotFound'));
});

test('each use is in the ledger', () => {
  const entries = server.merlon('ledger', 'export');
  for (const action of ['create', 'import', 'sign', 'verify', 'encrypt', 'decrypt', 'wrap', 'unwrap', 'rotate', 'rng'])
    assert.ok(entries.includes(`"Microsoft.KeyVault/vaults/keys/${action}/action"`), action);
  assert.ok(!readFileSync(join(server.directory, 'server.log'), 'utf8').includes('BEGIN'));
});
