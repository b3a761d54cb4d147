// @azure/arm-resources: resource groups, resources of any type, tags, providers.
import { ResourceManagementClient } from '@azure/arm-resources';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { collect, restError, startServer } from './server.js';

let server, client;
before(async () => {
  server = await startServer();
  client = new ResourceManagementClient(server.credential(), server.subscription, server.options());
});
after(() => server?.stop());

const type = 'Microsoft.Network/publicIPAddresses';
const version = '2024-05-01';
const address = (name) => `/subscriptions/${server.subscription}/resourceGroups/rg/providers/${type}/${name}`;

test('a resource group is created, read, listed, changed and deleted', async () => {
  const made = await client.resourceGroups.createOrUpdate('rg', { location: 'local', tags: { env: 'test' } });
  assert.equal(made.id, `/subscriptions/${server.subscription}/resourceGroups/rg`);
  assert.equal(made.properties.provisioningState, 'Succeeded');
  assert.deepEqual((await client.resourceGroups.get('RG')).tags, { env: 'test' });
  await client.resourceGroups.createOrUpdate('other', { location: 'local' });
  assert.deepEqual((await collect(client.resourceGroups.list())).map((group) => group.name).sort(), ['other', 'rg']);
  const filtered = await collect(client.resourceGroups.list({ filter: "tagName eq 'env' and tagValue eq 'test'" }));
  assert.deepEqual(filtered.map((group) => group.name), ['rg']);
  const changed = await client.resourceGroups.update('rg', { tags: { env: 'live', team: 'blue' } });
  assert.deepEqual(changed.tags, { env: 'live', team: 'blue' });
  await client.resourceGroups.beginDeleteAndWait('other');
  assert.equal((await client.resourceGroups.checkExistence('other')).body, false);
});

test('its errors are typed', async () => {
  await assert.rejects(client.resourceGroups.get('nothing'), restError(404, 'ResourceGroupNotFound'));
  await assert.rejects(client.resourceGroups.createOrUpdate('rg', { location: 'elsewhere' }),
    restError(409, 'InvalidResourceGroupLocation'));
});

test('a resource of any type, by id', async () => {
  const made = await client.resources.beginCreateOrUpdateByIdAndWait(address('a'), version,
    { location: 'local', properties: { publicIPAllocationMethod: 'Static', ipAddress: '198.51.100.10' } });
  assert.equal(made.type, type);
  assert.equal(made.properties.ipAddress, '198.51.100.10');
  assert.equal((await client.resources.getById(address('a'), version)).name, 'a');
  const listed = await collect(client.resources.list({ filter: `resourceType eq '${type}'` }));
  assert.deepEqual(listed.map((resource) => resource.name), ['a']);
  await client.resources.beginDeleteByIdAndWait(address('a'), version);
  await assert.rejects(client.resources.getById(address('a'), version), restError(404, 'ResourceNotFound'));
});

test('a list longer than a page arrives whole', async () => {
  for (let number = 0; number < 12; number += 1) {
    await client.resources.beginCreateOrUpdateByIdAndWait(address(`p${number}`), version, { location: 'local' });
  }
  const listed = await collect(client.resources.listByResourceGroup('rg', { top: 5 }));
  assert.equal(listed.length, 12);
  assert.equal(new Set(listed.map((resource) => resource.id)).size, 12);
});

test('tags at a scope', async () => {
  const scope = address('p0').slice(1);
  await client.tagsOperations.beginCreateOrUpdateAtScopeAndWait(scope, { properties: { tags: { a: '1' } } });
  await client.tagsOperations.beginUpdateAtScopeAndWait(scope, { operation: 'Merge', properties: { tags: { b: '2' } } });
  assert.deepEqual((await client.tagsOperations.getAtScope(scope)).properties.tags, { a: '1', b: '2' });
});

test('providers', async () => {
  const provider = await client.providers.get('Microsoft.Network');
  assert.equal(provider.registrationState, 'Registered');
  assert.ok(provider.resourceTypes.some((known) => known.resourceType === 'networkSecurityGroups'));
  await assert.rejects(client.providers.get('Microsoft.Nothing'), restError(404, 'InvalidResourceNamespace'));
});

test('without a right: 403 with Azure\'s code', async () => {
  const nobody = server.application('nobody', '--secret');
  const theirs = new ResourceManagementClient(server.credential(nobody.clientId, nobody.clientSecret),
    server.subscription, server.options());
  await assert.rejects(theirs.resourceGroups.get('rg'), restError(403, 'AuthorizationFailed'));
});
