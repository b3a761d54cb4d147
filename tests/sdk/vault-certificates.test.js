// @azure/keyvault-certificates: certificates with their keys and secrets, requests that openssl signs, authorities of
// the vault's own, and what happens to all of it.
import { CertificateClient } from '@azure/keyvault-certificates';
import { CryptographyClient, KeyClient } from '@azure/keyvault-keys';
import { SecretClient } from '@azure/keyvault-secrets';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, verify, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { collect, startServer } from './server.js';
import { giveRole, keyVaultError, vaultClient, vaultProperties } from './vault.js';

let server, vault, certificates, keys, secrets, scratch;
const now = { intervalInMs: 50 };
before(async () => {
  server = await startServer();
  const client = await vaultClient(server);
  vault = await client.vaults.createOrUpdate('rg', 'kv-certs', { location: 'local', properties: vaultProperties(server) });
  giveRole(server, server.first.clientId, 'Key Vault Administrator', vault.id);
  const uri = vault.properties.vaultUri;
  certificates = new CertificateClient(uri, server.credential(), server.trust);
  keys = new KeyClient(uri, server.credential(), server.trust);
  secrets = new SecretClient(uri, server.credential(), server.trust);
  scratch = mkdtempSync(join(process.env.MERLON_TMP ?? '/tmp', 'certs-'));
});
after(() => server?.stop());

const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
const file = (name, content) => {
  const path = join(scratch, name);
  if (content !== undefined) writeFileSync(path, content);
  return path;
};
const pem = (label, bytes) =>
  `-----BEGIN ${label}-----\n${Buffer.from(bytes).toString('base64').replace(/.{64}/g, '$&\n').trimEnd()}\n-----END ${label}-----\n`;
const selfSigned = { issuerName: 'Self', subject: 'CN=www.example.org', keyType: 'EC', keyCurveName: 'P-256' };
async function create(name, policy, options = {}) {
  return (await certificates.beginCreateCertificate(name, policy, { ...now, ...options })).pollUntilDone();
}

test('a self-signed certificate, its key and its secret', async () => {
  const made = await create(
    'www',
    {
      issuerName: 'Self',
      subject: 'CN=www.example.org, O=Example',
      subjectAlternativeNames: { dnsNames: ['www.example.org', 'example.org'] },
      validityInMonths: 6,
      keySize: 3072,
      contentType: 'application/x-pem-file',
    },
    { tags: { team: 'web' } },
  );
  assert.equal(made.name, 'www');
  assert.deepEqual(made.properties.tags, { team: 'web' });
  assert.equal(made.policy.issuerName, 'Self');
  assert.equal(made.policy.validityInMonths, 6);
  assert.deepEqual(made.policy.lifetimeActions, [{ action: 'AutoRenew', lifetimePercentage: 80, daysBeforeExpiry: undefined }]);
  const x509 = new X509Certificate(Buffer.from(made.cer));
  assert.equal(x509.subjectAltName, 'DNS:www.example.org, DNS:example.org');
  assert.ok(x509.verify(x509.publicKey));
  assert.equal(Buffer.from(made.properties.x509Thumbprint).toString('hex'), createHash('sha1').update(x509.raw).digest('hex'));
  assert.equal(x509.publicKey.asymmetricKeyDetails.modulusLength, 3072);
  const path = file('www.pem', pem('CERTIFICATE', made.cer));
  openssl('verify', '-CAfile', path, '-purpose', 'sslserver', path);

  const key = await keys.getKey('www', { version: made.properties.version });
  assert.equal(key.id, made.keyId);
  assert.equal(key.properties.managed, true);
  const digest = createHash('sha256').update('hello').digest();
  const { result } = await new CryptographyClient(key.id, server.credential(), server.trust).sign('RS256', digest);
  assert.ok(verify('sha256', Buffer.from('hello'), x509.publicKey, result));
  const secret = await secrets.getSecret('www');
  assert.equal(secret.properties.id, made.secretId);
  assert.equal(secret.properties.managed, true);
  assert.equal(secret.properties.certificateKeyId, made.keyId);
  assert.match(secret.value, /BEGIN PRIVATE KEY[^]*BEGIN CERTIFICATE/);
  await assert.rejects(secrets.setSecret('www', 'x'), keyVaultError(403, 'Forbidden'));
  await assert.rejects(keys.beginDeleteKey('www', now), keyVaultError(403, 'Forbidden'));
});

test('versions, lists, properties and policy', async () => {
  await create('many', selfSigned);
  const second = await create('many', selfSigned);
  const versions = await collect(certificates.listPropertiesOfCertificateVersions('many'));
  assert.equal(versions.length, 2);
  const first = versions.find((one) => one.version !== second.properties.version);
  assert.equal((await certificates.getCertificateVersion('many', first.version)).properties.version, first.version);
  assert.ok((await collect(certificates.listPropertiesOfCertificates())).some((one) => one.name === 'many'));
  const updated = await certificates.updateCertificateProperties('many', second.properties.version, { enabled: false, tags: { a: 'b' } });
  assert.equal(updated.properties.enabled, false);
  await assert.rejects(secrets.getSecret('many'), keyVaultError(403, 'Forbidden', 'SecretDisabled'));
  await secrets.getSecret('many', { version: first.version });
  // The client (4.10.3) reads nothing of what the answer to this one says.
  await certificates.updateCertificatePolicy('many', { ...selfSigned, validityInMonths: 3, lifetimeActions: [{ action: 'EmailContacts', daysBeforeExpiry: 20 }] });
  const policy = await certificates.getCertificatePolicy('many');
  assert.deepEqual([policy.validityInMonths, policy.lifetimeActions[0].daysBeforeExpiry], [3, 20]);
  await assert.rejects(certificates.getCertificate('absent'), keyVaultError(404, 'CertificateNotFound'));
  await assert.rejects(create('bad', { ...selfSigned, subject: 'no name' }), keyVaultError(400, 'BadParameter'));
  await assert.rejects(create('bad', { ...selfSigned, issuerName: 'nobody' }), keyVaultError(400, 'BadParameter'));
});

test('PFX and PEM from openssl come in and go out', async () => {
  const key = file('in.key'), certificate = file('in.pem'), pfx = file('in.pfx');
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate, '-days', '40', '-subj', '/CN=in.example.org');
  openssl('pkcs12', '-export', '-inkey', key, '-in', certificate, '-out', pfx, '-passout', 'pass:open sesame');
  await assert.rejects(certificates.importCertificate('pfx', readFileSync(pfx), { password: 'wrong' }), keyVaultError(400, 'BadParameter'));
  const imported = await certificates.importCertificate('pfx', readFileSync(pfx), { password: 'open sesame' });
  const raw = new X509Certificate(readFileSync(certificate)).raw;
  assert.deepEqual(Buffer.from(imported.cer), raw);
  assert.equal(imported.policy.issuerName, 'Unknown');
  const out = file('out.pfx', Buffer.from((await secrets.getSecret('pfx')).value, 'base64'));
  const text = openssl('pkcs12', '-in', out, '-passin', 'pass:', '-nodes');
  assert.match(text, /BEGIN PRIVATE KEY/);
  assert.deepEqual(new X509Certificate(/-----BEGIN CERTIFICATE[^]*?END CERTIFICATE-----/.exec(text)[0]).raw, raw);
  const both = Buffer.concat([readFileSync(key), readFileSync(certificate)]);
  const second = await certificates.importCertificate('pem', both, { policy: { contentType: 'application/x-pem-file' } });
  assert.deepEqual(Buffer.from(second.cer), raw);
  assert.match((await secrets.getSecret('pem')).value, /PRIVATE KEY/);
  // The client (4.10.3) sends no policy with an import.
  const token = (await server.credential().getToken('https://vault.azure.net/.default')).token;
  const kept = { value: both.toString(), policy: { key_props: { exportable: false } } };
  const answer = await server.request('POST', `${vault.properties.vaultUri}certificates/pem/import?api-version=7.5`, token, kept);
  assert.equal(answer.status, 200);
  assert.doesNotMatch((await secrets.getSecret('pem')).value, /PRIVATE KEY/);
});

test('openssl signs a request', async () => {
  const poller = await certificates.beginCreateCertificate('asked', { ...selfSigned, issuerName: 'Unknown', subject: 'CN=asked.example.org' }, now);
  const operation = await certificates.getCertificateOperation('asked');
  const { certificateOperation } = operation.getOperationState();
  assert.equal(certificateOperation.status, 'inProgress');
  const csr = file('asked.csr', pem('CERTIFICATE REQUEST', certificateOperation.csr));
  assert.match(openssl('req', '-in', csr, '-verify', '-noout', '-subject'), /asked\.example\.org/);
  const caKey = file('ca.key'), ca = file('ca.pem'), signed = file('asked.pem');
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', caKey, '-out', ca, '-days', '40', '-subj', '/CN=Outer CA');
  await assert.rejects(certificates.mergeCertificate('asked', [new X509Certificate(readFileSync(ca)).raw]), keyVaultError(400, 'BadParameter'));
  openssl('x509', '-req', '-in', csr, '-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', '30', '-out', signed);
  const merged = await certificates.mergeCertificate('asked', [readFileSync(signed), readFileSync(ca)]);
  assert.equal(new X509Certificate(Buffer.from(merged.cer)).issuer, 'CN=Outer CA');
  assert.equal((await poller.pollUntilDone()).properties.version, merged.properties.version);
  const out = file('asked.pfx', Buffer.from((await secrets.getSecret('asked')).value, 'base64'));
  assert.equal(openssl('pkcs12', '-in', out, '-passin', 'pass:', '-nodes').match(/BEGIN CERTIFICATE/g).length, 2);

  const second = await certificates.beginCreateCertificate('dropped', { ...selfSigned, issuerName: 'Unknown' }, now);
  await second.cancelOperation();
  assert.equal((await certificates.getCertificateOperation('dropped')).getOperationState().certificateOperation.status, 'cancelled');
  await certificates.deleteCertificateOperation('dropped');
  await assert.rejects(certificates.getCertificate('dropped'), keyVaultError(404, 'CertificateNotFound'));
});

test('an authority of the vault issues', async () => {
  server.merlon('ca', 'create', '--vault', 'kv-certs', '-n', 'house', '--subject', 'CN=House CA');
  const issuer = await certificates.getIssuer('house');
  assert.equal(issuer.provider, 'Merlon');
  assert.deepEqual((await collect(certificates.listPropertiesOfIssuers())).map((one) => one.id.split('/').pop()), ['house']);
  const made = await create('inner', { ...selfSigned, issuerName: 'house', subjectAlternativeNames: { dnsNames: ['inner.example.org'] } });
  const ca = file('house.pem', server.merlon('ca', 'show', '--vault', 'kv-certs', '-n', 'house'));
  openssl('verify', '-x509_strict', '-CAfile', ca, '-purpose', 'sslserver', '-verify_hostname', 'inner.example.org', file('inner.pem', pem('CERTIFICATE', made.cer)));
  const secret = await secrets.getSecret('house');
  const text = openssl('pkcs12', '-in', file('house.pfx', Buffer.from(secret.value, 'base64')), '-passin', 'pass:', '-nodes');
  assert.doesNotMatch(text, /PRIVATE KEY/);
  await assert.rejects(certificates.createIssuer('digi', 'DigiCert', { accountId: 'a', password: 'b' }), keyVaultError(400, 'BadParameter'));
  const people = [{ firstName: 'Ada', lastName: 'L', email: 'ada@example.org', phone: '1' }];
  await certificates.updateIssuer('house', { organizationId: 'o', administratorContacts: people });
  const changed = await certificates.getIssuer('house');
  assert.deepEqual([changed.organizationId, changed.accountId], ['o', 'house']);
  await certificates.deleteIssuer('house');
  await assert.rejects(create('inner', { ...selfSigned, issuerName: 'house' }), keyVaultError(400, 'BadParameter'));
  await assert.rejects(certificates.getIssuer('house'), keyVaultError(404, 'CertificateIssuerNotFound'));
});

test('contacts', async () => {
  await assert.rejects(certificates.getContacts(), keyVaultError(404, 'ContactsNotFound'));
  const people = [{ email: 'ops@example.org', name: 'Ops', phone: '1' }];
  await certificates.setContacts(people);
  assert.deepEqual(await certificates.getContacts(), people);
  await certificates.deleteContacts();
  await assert.rejects(certificates.getContacts(), keyVaultError(404, 'ContactsNotFound'));
});

test('deletion, recovery, backup and purge are of all three', async () => {
  const made = await create('gone', selfSigned);
  const backup = await certificates.backupCertificate('gone');
  const deleted = await (await certificates.beginDeleteCertificate('gone', now)).pollUntilDone();
  assert.ok(deleted.scheduledPurgeDate > deleted.deletedOn);
  await assert.rejects(secrets.getSecret('gone'), keyVaultError(404, 'SecretNotFound'));
  await assert.rejects(create('gone', selfSigned), keyVaultError(409, 'Conflict', 'ObjectIsDeletedButRecoverable'));
  assert.ok((await collect(certificates.listDeletedCertificates())).some((one) => one.name === 'gone'));
  const back = await (await certificates.beginRecoverDeletedCertificate('gone', now)).pollUntilDone();
  assert.deepEqual(back.cer, made.cer);
  await secrets.getSecret('gone');
  await (await certificates.beginDeleteCertificate('gone', now)).pollUntilDone();
  await certificates.purgeDeletedCertificate('gone');
  await assert.rejects(certificates.getDeletedCertificate('gone'), keyVaultError(404, 'CertificateNotFound'));
  await assert.rejects(secrets.getDeletedSecret('gone'), keyVaultError(404, 'SecretNotFound'));
  const restored = await certificates.restoreCertificateBackup(backup);
  assert.deepEqual(restored.cer, made.cer);
  assert.equal((await keys.getKey('gone')).id, made.keyId);
});

test('roles and access policies', async () => {
  const app = server.application('certificate reader', '--secret');
  const as = (uri) => new CertificateClient(uri, server.credential(app.clientId, app.clientSecret), server.trust);
  const uri = vault.properties.vaultUri;
  await create('seen', selfSigned);
  await assert.rejects(as(uri).getCertificate('seen'), keyVaultError(403, 'Forbidden', 'ForbiddenByRbac'));
  giveRole(server, app.clientId, 'Key Vault Certificate User', vault.id);
  await as(uri).getCertificate('seen');
  await assert.rejects(as(uri).beginDeleteCertificate('seen', now), keyVaultError(403, 'Forbidden', 'ForbiddenByRbac'));
  await assert.rejects(as(uri).setContacts([{ email: 'a@example.org' }]), keyVaultError(403, 'Forbidden', 'ForbiddenByRbac'));

  const client = await vaultClient(server);
  const old = await client.vaults.createOrUpdate('rg', 'kv-certs-old', {
    location: 'local',
    properties: vaultProperties(server, {
      enableRbacAuthorization: false,
      accessPolicies: [{ tenantId: server.tenant, objectId: app.objectId, permissions: { certificates: ['create', 'get', 'manageissuers'] } }],
    }),
  });
  const inOld = as(old.properties.vaultUri);
  await (await inOld.beginCreateCertificate('made', selfSigned, now)).pollUntilDone();
  await assert.rejects(inOld.getContacts(), keyVaultError(403, 'Forbidden', 'AccessDenied'));
  await assert.rejects(inOld.getIssuer('none'), keyVaultError(404, 'CertificateIssuerNotFound'));
  await assert.rejects(inOld.beginDeleteCertificate('made', now), keyVaultError(403, 'Forbidden', 'AccessDenied'));
});
