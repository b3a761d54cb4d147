// @azure/arm-resources: resource groups, resources of any type, tags, moves, providers; @azure/arm-resourcegraph.
import { ResourceGraphClient } from '@azure/arm-resourcegraph';
import { ResourceManagementClient } from '@azure/arm-resources';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Agent, get } from 'node:https';
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

test('resources move to another group, or say what holds them', async () => {
  await client.resourceGroups.createOrUpdate('target', { location: 'local' });
  const targetResourceGroup = `/subscriptions/${server.subscription}/resourceGroups/target`;
  const group = address('web-nsg').replace(type, 'Microsoft.Network/networkSecurityGroups');
  const net = address('net').replace(type, 'Microsoft.Network/virtualNetworks');
  const rule = { name: 'https', properties: { protocol: 'Tcp', access: 'Allow', direction: 'Inbound', priority: 200,
    sourceAddressPrefix: '*', sourcePortRange: '*', destinationAddressPrefix: '*', destinationPortRange: '443' } };
  await client.resources.beginCreateOrUpdateByIdAndWait(group, version,
    { location: 'local', properties: { securityRules: [rule] } });
  await client.resources.beginCreateOrUpdateByIdAndWait(net, version, { location: 'local', properties: {
    addressSpace: { addressPrefixes: ['198.51.100.0/24'] },
    subnets: [{ name: 'default', properties: { addressPrefix: '198.51.100.0/24', networkSecurityGroup: { id: group } } }],
  } });
  await assert.rejects(client.resources.beginValidateMoveResourcesAndWait('rg', { resources: [group], targetResourceGroup }),
    restError(409, 'ResourceMoveProviderValidationFailed'));
  const guid = (await client.resources.getById(group, version)).properties.resourceGuid;
  const both = { resources: [group, net, address('p0')], targetResourceGroup };
  await client.resources.beginValidateMoveResourcesAndWait('rg', both);
  await client.resources.beginMoveResourcesAndWait('rg', both);
  await assert.rejects(client.resources.getById(group, version), restError(404, 'ResourceNotFound'));
  const moved = await client.resources.getById(group.replace('/rg/', '/target/'), version);
  assert.equal(moved.properties.resourceGuid, guid);
  assert.equal(moved.properties.securityRules[0].properties.destinationPortRange, '443');
  assert.match(moved.properties.subnets[0].id, /resourceGroups\/target\/.*\/subnets\/default$/);
  const movedNet = await client.resources.getById(net.replace('/rg/', '/target/'), version);
  assert.match(movedNet.properties.subnets[0].properties.networkSecurityGroup.id, /\/target\//);
});

test('Resource Graph finds what the caller may read', async () => {
  const graph = (credential) => new ResourceGraphClient(credential,
    { baseUri: server.endpoint, agentSettings: { https: new Agent({ ca: server.ca }) } });
  const query = `Resources | where type =~ '${type}' and name startswith 'P1' | project name, id | order by name asc`;
  const subscriptions = [server.subscription];
  const answer = await graph(server.credential()).resources({ query, subscriptions });
  assert.deepEqual(answer.data.map((row) => row.name), ['p1', 'p10', 'p11']);
  assert.equal(answer.totalRecords, 3);
  const page = await graph(server.credential()).resources({ query, subscriptions, options: { top: 2 } });
  assert.equal(page.count, 2);
  const rest = await graph(server.credential()).resources(
    { query, subscriptions, options: { top: 2, skipToken: page.skipToken } });
  assert.deepEqual(rest.data.map((row) => row.name), ['p11']);
  const table = await graph(server.credential()).resources(
    { query: 'Resources | summarize count() by type', subscriptions, options: { resultFormat: 'table' } });
  assert.deepEqual(table.data.columns.map((column) => column.name), ['type', 'count_']);
  await assert.rejects(graph(server.credential()).resources({ query: 'Resources | join x on y', subscriptions }), /join/);
  const nobody = server.application('no-reader', '--secret');
  const theirs = await graph(server.credential(nobody.clientId, nobody.clientSecret)).resources({ query, subscriptions });
  assert.equal(theirs.totalRecords, 0);
});

test('the OpenAPI document has every route once, with its permission', async () => {
  const { token } = await server.credential().getToken(`${server.endpoint}/.default`);
  const text = await new Promise((resolve, reject) => {
    const request = get(`${server.endpoint}/openapi.json`, { ca: server.ca, headers: { Authorization: `Bearer ${token}` } },
      (response) => response.toArray().then((chunks) => resolve(Buffer.concat(chunks).toString()), reject));
    request.on('error', reject);
  });
  const document = JSON.parse(text);
  assert.equal(document.openapi, '3.0.3');
  const templates = new Set();
  const ids = new Set();
  for (const [path, operations] of Object.entries(document.paths)) {
    const template = path.replace(/{[^}]*}/g, '{}').toLowerCase();
    assert.ok(!templates.has(template), `${path} is there twice`);
    templates.add(template);
    for (const [method, operation] of Object.entries(operations)) {
      assert.ok(!ids.has(operation.operationId), operation.operationId);
      ids.add(operation.operationId);
      assert.ok(operation['x-merlon-permission'] || operation['x-merlon-public-because'], `${method} ${path}`);
      // Their path says all there is to say, or their body has no declared shape.
      const bodyless = ['tagNames', '/role', 'managementGroups/{groupId}/subscriptions/'].some((part) => path.includes(part));
      if (method === 'put' && !bodyless) assert.ok(operation.requestBody, `${method} ${path}`);
    }
  }
  assert.ok(templates.size > 80, `${templates.size} paths`);
});

test('without a right: 403 with Azure\'s code', async () => {
  const nobody = server.application('nobody', '--secret');
  const theirs = new ResourceManagementClient(server.credential(nobody.clientId, nobody.clientSecret),
    server.subscription, server.options());
  await assert.rejects(theirs.resourceGroups.get('rg'), restError(403, 'AuthorizationFailed'));
});
