// @azure/arm-compute: virtual machines as people describe them.
import { ComputeManagementClient } from '@azure/arm-compute';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { describeMachine } from './machine.js';
import { collect, restError, startServer } from './server.js';

let server, client;
before(async () => {
  server = await startServer();
  client = new ComputeManagementClient(server.credential(), server.subscription, server.options());
});
after(() => server?.stop());

test('a virtual machine is created, read, listed, changed and deleted', async () => {
  const made = await describeMachine(server, client);
  assert.equal(made.type, 'Microsoft.Compute/virtualMachines');
  assert.equal(made.provisioningState, 'Succeeded');
  assert.match(made.vmId, /^[0-9a-f-]{36}$/);
  const read = await client.virtualMachines.get('rg', 'WEB-1');
  assert.equal(read.vmId, made.vmId);
  assert.equal(read.networkProfile.networkInterfaces[0].id, made.networkProfile.networkInterfaces[0].id);
  assert.deepEqual((await collect(client.virtualMachines.list('rg'))).map((vm) => vm.name), ['web-1']);
  assert.deepEqual((await collect(client.virtualMachines.listAll())).map((vm) => vm.name), ['web-1']);
  assert.deepEqual((await collect(client.virtualMachines.listByLocation('local'))).map((vm) => vm.name), ['web-1']);
  assert.deepEqual(await collect(client.virtualMachines.listByLocation('elsewhere')), []);
  const changed = await client.virtualMachines.beginUpdateAndWait('rg', 'web-1', { tags: { owner: 'ops' } });
  assert.deepEqual(changed.tags, { owner: 'ops' });
  assert.equal(changed.vmId, made.vmId);
  const view = await client.virtualMachines.instanceView('rg', 'web-1');
  assert.ok(Array.isArray(view.statuses));
  await client.virtualMachines.beginDeleteAndWait('rg', 'web-1');
  assert.deepEqual(await collect(client.virtualMachines.list('rg')), []);
});

test('its errors are typed', async () => {
  await assert.rejects(client.virtualMachines.get('rg', 'nothing'), restError(404, 'ResourceNotFound'));
  await assert.rejects(client.virtualMachines.get('nothing', 'x'), restError(404, 'ResourceGroupNotFound'));
  await assert.rejects(client.virtualMachines.beginCreateOrUpdateAndWait('rg', 'bad', {
    location: 'local', networkProfile: { networkInterfaces: [{ id: 'not an id' }] },
  }), (error) => error.name === 'RestError' && error.statusCode === 400);
});
