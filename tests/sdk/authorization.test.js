// @azure/arm-authorization: role definitions and assignments, and that they mean something at once.
import { AuthorizationManagementClient } from '@azure/arm-authorization';
import { ResourceManagementClient } from '@azure/arm-resources';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { collect, restError, startServer } from './server.js';

let server, client, scope, application, theirs;
before(async () => {
  server = await startServer();
  scope = `/subscriptions/${server.subscription}/resourceGroups/rg`;
  const resources = new ResourceManagementClient(server.credential(), server.subscription, server.options());
  await resources.resourceGroups.createOrUpdate('rg', { location: 'local' });
  client = new AuthorizationManagementClient(server.credential(), server.subscription, server.options());
  application = server.application('somebody', '--secret');
  theirs = new ResourceManagementClient(server.credential(application.clientId, application.clientSecret),
    server.subscription, server.options());
});
after(() => server?.stop());

const roleNamed = async (name) => {
  const [role] = await collect(client.roleDefinitions.list(scope, { filter: `roleName eq '${name}'` }));
  return role;
};

test('Azure\'s built-in roles are there', async () => {
  const reader = await roleNamed('Reader');
  assert.equal(reader.name, 'acdd72a7-3385-48ef-bd42-f606fba81ae7');
  assert.equal(reader.roleType, 'BuiltInRole');
  assert.deepEqual(reader.permissions[0].actions, ['*/read']);
  assert.ok((await collect(client.roleDefinitions.list(scope))).length > 300);
});

test('an assignment is made, read and listed, gives the right at once, and takes it away at once', async () => {
  await assert.rejects(theirs.resourceGroups.get('rg'), restError(403, 'AuthorizationFailed'));
  const name = randomUUID();
  const reader = await roleNamed('Reader');
  const made = await client.roleAssignments.create(scope, name,
    { roleDefinitionId: reader.id, principalId: application.objectId, principalType: 'ServicePrincipal' });
  assert.equal(made.principalId, application.objectId);
  assert.equal((await theirs.resourceGroups.get('rg')).name, 'rg');
  await assert.rejects(theirs.resourceGroups.update('rg', { tags: {} }), restError(403, 'AuthorizationFailed'));
  assert.equal((await client.roleAssignments.get(scope, name)).name, name);
  const listed = await collect(client.roleAssignments.listForScope(scope, { filter: `principalId eq '${application.objectId}'` }));
  assert.deepEqual(listed.map((assignment) => assignment.name), [name]);
  await assert.rejects(client.roleAssignments.create(scope, randomUUID(),
    { roleDefinitionId: reader.id, principalId: application.objectId }), restError(409, 'RoleAssignmentExists'));
  await client.roleAssignments.delete(scope, name);
  await assert.rejects(theirs.resourceGroups.get('rg'), restError(403, 'AuthorizationFailed'));
  await assert.rejects(client.roleAssignments.get(scope, name), restError(404, 'RoleAssignmentNotFound'));
});

test('a custom role is made, changed, used and deleted', async () => {
  const id = randomUUID();
  const wanted = (actions) => ({
    roleName: 'Tagger', description: 'may read and tag groups', roleType: 'CustomRole', assignableScopes: [scope],
    permissions: [{ actions, notActions: [], dataActions: [], notDataActions: [] }],
  });
  const read = 'Microsoft.Resources/subscriptions/resourceGroups/read';
  const write = 'Microsoft.Resources/subscriptions/resourceGroups/write';
  const made = await client.roleDefinitions.createOrUpdate(scope, id, wanted([read]));
  assert.equal(made.roleName, 'Tagger');
  const name = randomUUID();
  await client.roleAssignments.create(scope, name, { roleDefinitionId: made.id, principalId: application.objectId });
  assert.equal((await theirs.resourceGroups.get('rg')).name, 'rg');
  await assert.rejects(theirs.resourceGroups.update('rg', { tags: { a: 'b' } }), restError(403, 'AuthorizationFailed'));
  await client.roleDefinitions.createOrUpdate(scope, id, wanted([read, write]));
  assert.deepEqual((await theirs.resourceGroups.update('rg', { tags: { a: 'b' } })).tags, { a: 'b' });
  await assert.rejects(client.roleDefinitions.delete(scope, id), (error) => error.name === 'RestError');
  await client.roleAssignments.delete(scope, name);
  await client.roleDefinitions.delete(scope, id);
  await assert.rejects(client.roleDefinitions.get(scope, id), restError(404, 'RoleDefinitionDoesNotExist'));
});

test('what cannot be meant is refused', async () => {
  const reader = await roleNamed('Reader');
  await assert.rejects(client.roleAssignments.create(scope, 'no-guid',
    { roleDefinitionId: reader.id, principalId: application.objectId }), restError(400, 'InvalidRoleAssignmentId'));
  await assert.rejects(client.roleAssignments.create(scope, randomUUID(),
    { roleDefinitionId: reader.id, principalId: randomUUID() }), restError(400, 'PrincipalNotFound'));
  await assert.rejects(client.roleAssignments.create(scope, randomUUID(), {
    roleDefinitionId: reader.id.replace(reader.name, randomUUID()), principalId: application.objectId,
  }), (error) => error.name === 'RestError' && [400, 404].includes(error.statusCode));
});
