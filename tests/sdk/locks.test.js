// @azure/arm-locks: what nobody may delete or change while a lock stands, whatever their roles.
import { ManagementLockClient } from '@azure/arm-locks';
import { NetworkManagementClient } from '@azure/arm-network';
import { ResourceManagementClient } from '@azure/arm-resources';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { collect, restError, startServer } from './server.js';

let server, locks, resources, network;
before(async () => {
  server = await startServer();
  const client = (Client) => new Client(server.credential(), server.subscription, server.options());
  locks = client(ManagementLockClient);
  resources = client(ResourceManagementClient);
  network = client(NetworkManagementClient);
  await resources.resourceGroups.createOrUpdate('rg', { location: 'local' });
  await network.networkSecurityGroups.beginCreateOrUpdateAndWait('rg', 'nsg', { location: 'local' });
});
after(() => server?.stop());

test('a group with CanNotDelete stays, and so does what is in it', async () => {
  const made = await locks.managementLocks.createOrUpdateAtResourceGroupLevel('rg', 'keep',
    { level: 'CanNotDelete', notes: 'needed' });
  assert.equal(made.level, 'CanNotDelete');
  assert.equal(made.id, `/subscriptions/${server.subscription}/resourceGroups/rg/providers/Microsoft.Authorization/locks/keep`);
  await assert.rejects(resources.resourceGroups.beginDeleteAndWait('rg'), restError(409, 'ScopeLocked'));
  await assert.rejects(network.networkSecurityGroups.beginDeleteAndWait('rg', 'nsg'), restError(409, 'ScopeLocked'));
  await network.networkSecurityGroups.updateTags('rg', 'nsg', { tags: { a: '1' } });
  assert.deepEqual((await collect(locks.managementLocks.listAtResourceGroupLevel('rg'))).map((lock) => lock.name), ['keep']);
  await locks.managementLocks.deleteAtResourceGroupLevel('rg', 'keep');
});

test('ReadOnly on a security group keeps its rules', async () => {
  const nsg = ['rg', 'Microsoft.Network', '', 'networkSecurityGroups', 'nsg', 'frozen'];
  await locks.managementLocks.createOrUpdateAtResourceLevel(...nsg, { level: 'ReadOnly' });
  const rule = { protocol: 'Tcp', access: 'Allow', direction: 'Inbound', priority: 100, sourceAddressPrefix: '*',
    sourcePortRange: '*', destinationAddressPrefix: '*', destinationPortRange: '22' };
  await assert.rejects(network.securityRules.beginCreateOrUpdateAndWait('rg', 'nsg', 'ssh', rule),
    restError(409, 'ScopeLocked'));
  assert.equal((await network.networkSecurityGroups.get('rg', 'nsg')).securityRules.length, 0);
  assert.equal((await locks.managementLocks.getAtResourceLevel(...nsg)).level, 'ReadOnly');
  await locks.managementLocks.deleteAtResourceLevel(...nsg);
  await network.securityRules.beginCreateOrUpdateAndWait('rg', 'nsg', 'ssh', rule);
});

test('a Contributor can neither set a lock nor take one away', async () => {
  const contributor = server.application('contributor', '--secret');
  server.merlon('role', 'assign', '--role', 'Contributor', '--assignee', contributor.objectId,
    '--scope', `/subscriptions/${server.subscription}`);
  const theirs = new ManagementLockClient(server.credential(contributor.clientId, contributor.clientSecret),
    server.subscription, server.options());
  await locks.managementLocks.createOrUpdateAtSubscriptionLevel('all', { level: 'ReadOnly' });
  await assert.rejects(theirs.managementLocks.deleteAtSubscriptionLevel('all'), restError(403, 'AuthorizationFailed'));
  await assert.rejects(theirs.managementLocks.createOrUpdateAtSubscriptionLevel('mine', { level: 'ReadOnly' }),
    restError(403, 'AuthorizationFailed'));
  await assert.rejects(resources.resourceGroups.createOrUpdate('other', { location: 'local' }),
    restError(409, 'ScopeLocked'));
  await locks.managementLocks.deleteAtSubscriptionLevel('all');
  await resources.resourceGroups.createOrUpdate('other', { location: 'local' });
});
