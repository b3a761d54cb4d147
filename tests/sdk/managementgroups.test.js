// @azure/arm-managementgroups: the tree above the subscription, and what a role at a group reaches.
import { AuthorizationManagementClient } from '@azure/arm-authorization';
import { ManagementGroupsAPI } from '@azure/arm-managementgroups';
import { ResourceManagementClient } from '@azure/arm-resources';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { collect, restError, startServer } from './server.js';

let server, client, groups, application, theirs;
const idOf = (name) => `/providers/Microsoft.Management/managementGroups/${name}`;
before(async () => {
  server = await startServer();
  client = new ManagementGroupsAPI(server.credential(), server.options());
  groups = client.managementGroups;
  const resources = new ResourceManagementClient(server.credential(), server.subscription, server.options());
  await resources.resourceGroups.createOrUpdate('rg', { location: 'local' });
  application = server.application('somebody', '--secret');
  theirs = new ResourceManagementClient(server.credential(application.clientId, application.clientSecret),
    server.subscription, server.options());
});
after(() => server?.stop());

const create = (name, parent, displayName) => groups.beginCreateOrUpdateAndWait(name, {
  name, displayName, details: parent ? { parent: { id: idOf(parent) } } : undefined,
}, { updateIntervalInMs: 10 });

test('groups are made, found, renamed, moved and listed', async () => {
  const corp = await create('Corp', undefined, 'The firm');
  assert.equal(corp.displayName, 'The firm');
  assert.equal(corp.details.parent.name, server.tenant);
  assert.equal((await create('web', 'Corp')).details.parent.id, idOf('Corp'));
  assert.equal((await groups.update('web', { displayName: 'Web' })).displayName, 'Web');
  const tree = await groups.get('corp', { expand: 'children', recurse: true });
  assert.deepEqual(tree.children.map((child) => [child.name, child.displayName]), [['web', 'Web']]);
  const names = (await collect(groups.list())).map((group) => group.name);
  assert.deepEqual(names.sort(), ['Corp', server.tenant, 'web'].sort());
  const below = await collect(groups.listDescendants(server.tenant));
  assert.deepEqual(below.map((one) => one.name).sort(), ['Corp', server.subscription, 'web'].sort());
  const entities = await collect(client.entities.list());
  assert.deepEqual(entities.find((entity) => entity.name === 'web').parentNameChain, [server.tenant, 'Corp']);
  assert.equal((await client.checkNameAvailability({ name: 'corp', type: 'Microsoft.Management/managementGroups' })).nameAvailable, false);
  await assert.rejects(groups.get('nowhere'), restError(404, 'NotFound'));
  await assert.rejects(create('Corp', 'web'), restError(400, 'BadRequest'));
});

test('a role at a group reaches the subscription under it, and leaves with it', async () => {
  const authorization = new AuthorizationManagementClient(server.credential(), server.subscription, server.options());
  const [reader] = await collect(authorization.roleDefinitions.list(idOf('Corp'), { filter: "roleName eq 'Reader'" }));
  const name = randomUUID();
  await authorization.roleAssignments.create(idOf('Corp'), name,
    { roleDefinitionId: reader.id, principalId: application.objectId, principalType: 'ServicePrincipal' });
  await assert.rejects(theirs.resourceGroups.get('rg'), restError(403, 'AuthorizationFailed'));
  const placed = await client.managementGroupSubscriptions.create('web', server.subscription);
  assert.equal(placed.parent.id, idOf('web'));
  assert.equal((await theirs.resourceGroups.get('rg')).name, 'rg');
  const under = await collect(client.managementGroupSubscriptions.listSubscriptionsUnderManagementGroup('web'));
  assert.deepEqual(under.map((one) => one.name), [server.subscription]);
  const listed = await collect(authorization.roleAssignments.listForSubscription({ filter: `principalId eq '${application.objectId}'` }));
  assert.deepEqual(listed.map((assignment) => assignment.scope), [idOf('Corp')]);
  await client.managementGroupSubscriptions.delete('web', server.subscription);
  await assert.rejects(theirs.resourceGroups.get('rg'), restError(403, 'AuthorizationFailed'));
});

test('a group that holds something stays; an empty one goes', async () => {
  await assert.rejects(groups.beginDeleteAndWait('Corp'), restError(400, 'BadRequest'));
  const gone = await groups.beginDeleteAndWait('web', { updateIntervalInMs: 10 });
  assert.equal(gone.name, 'web');
  await groups.beginDeleteAndWait('Corp', { updateIntervalInMs: 10 });
  await groups.beginDeleteAndWait('Corp', { updateIntervalInMs: 10 });
  await assert.rejects(groups.get('Corp'), restError(404, 'NotFound'));
  await assert.rejects(groups.beginDeleteAndWait(server.tenant), restError(400, 'BadRequest'));
});
