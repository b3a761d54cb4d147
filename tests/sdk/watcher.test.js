// @azure/arm-network: flow logs, next hops and route tables, and $expand, as Azure's own client asks for them.
import { ComputeManagementClient } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import { ResourceManagementClient } from '@azure/arm-resources';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { describeMachine } from './machine.js';
import { collect, restError, startServer } from './server.js';

let server, client, vm;
before(async () => {
  server = await startServer();
  const groups = new ResourceManagementClient(server.credential(), server.subscription, server.options()).resourceGroups;
  await groups.createOrUpdate('rg', { location: 'local' });
  client = new NetworkManagementClient(server.credential(), server.subscription, server.options());
  vm = await describeMachine(server, new ComputeManagementClient(server.credential(), server.subscription, server.options()));
  await client.networkWatchers.createOrUpdate('rg', 'nw', { location: 'local' });
});
after(() => server?.stop());

test('a flow log, from its making to its end', async () => {
  const target = await client.networkSecurityGroups.get('rg', 'web-1-nsg');
  const storageId = `/subscriptions/${server.subscription}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/logs01`;
  const wanted = { location: 'local', targetResourceId: target.id, storageId, enabled: true, retentionPolicy: { days: 7, enabled: true } };
  const made = await client.flowLogs.beginCreateOrUpdateAndWait('rg', 'nw', 'web', wanted);
  assert.equal(made.provisioningState, 'Succeeded');
  assert.equal(made.targetResourceGuid, target.resourceGuid);
  assert.deepEqual(made.format, { type: 'JSON', version: 2 });
  assert.deepEqual((await collect(client.flowLogs.list('rg', 'nw'))).map((log) => log.name), ['web']);
  assert.equal((await client.networkSecurityGroups.get('rg', 'web-1-nsg')).flowLogs[0].id, made.id);
  const tagged = await client.flowLogs.updateTags('rg', 'nw', 'web', { tags: { a: '1' } });
  assert.deepEqual([tagged.tags, tagged.enabled], [{ a: '1' }, true]);
  const status = await client.networkWatchers.beginGetFlowLogStatusAndWait('rg', 'nw', { targetResourceId: target.id });
  assert.deepEqual([status.enabled, status.storageId, status.retentionPolicy.days], [true, storageId, 7]);
  const off = await client.networkWatchers.beginSetFlowLogConfigurationAndWait('rg', 'nw', { targetResourceId: target.id, storageId, enabled: false });
  assert.equal(off.enabled, false);
  assert.equal((await client.flowLogs.get('rg', 'nw', 'web')).enabled, false);
  await assert.rejects(client.flowLogs.beginCreateOrUpdateAndWait('rg', 'nw', 'second', wanted), restError(400, 'FlowLogTargetInUse'));
  await client.flowLogs.beginDeleteAndWait('rg', 'nw', 'web');
  await assert.rejects(client.flowLogs.get('rg', 'nw', 'web'), restError(404, 'ResourceNotFound'));
});

test('next hops follow the route table of the subnet', async () => {
  const nic = await client.networkInterfaces.get('rg', 'web-1-nic');
  const [{ privateIPAddress, subnet }] = nic.ipConfigurations;
  const hop = (destinationIPAddress) => client.networkWatchers.beginGetNextHopAndWait('rg', 'nw', {
    targetResourceId: vm.id, sourceIPAddress: privateIPAddress, destinationIPAddress });
  assert.deepEqual(await hop('203.0.113.9'), { nextHopType: 'Internet', routeTableId: 'System Route' });
  const table = await client.routeTables.beginCreateOrUpdateAndWait('rg', 'rt', {
    location: 'local', routes: [{ name: 'out', addressPrefix: '0.0.0.0/0', nextHopType: 'VirtualAppliance', nextHopIpAddress: '10.1.0.99' }] });
  await client.routes.beginCreateOrUpdateAndWait('rg', 'rt', 'none', { addressPrefix: '203.0.113.0/24', nextHopType: 'None' });
  const [network, name] = subnet.id.split('/').filter((_, index) => [8, 10].includes(index));
  const before = await client.subnets.get('rg', network, name);
  await client.subnets.beginCreateOrUpdateAndWait('rg', network, name, { ...before, routeTable: { id: table.id } });
  assert.equal((await hop('203.0.113.9')).nextHopType, 'None');
  assert.deepEqual(await hop('198.51.100.1'), { nextHopType: 'VirtualAppliance', nextHopIpAddress: '10.1.0.99', routeTableId: table.id });
  const { value } = await client.networkInterfaces.beginGetEffectiveRouteTableAndWait('rg', 'web-1-nic');
  assert.deepEqual(value.filter((route) => route.source === 'User').map((route) => [route.name, route.state]), [['out', 'Active'], ['none', 'Active']]);
  await assert.rejects(client.routeTables.beginDeleteAndWait('rg', 'rt'), restError(400, 'InUseRouteTableCannotBeDeleted'));
});

test('$expand shows what a reference names', async () => {
  const plain = await client.networkSecurityGroups.get('rg', 'web-1-nsg');
  assert.equal(plain.networkInterfaces[0].ipConfigurations, undefined);
  const group = await client.networkSecurityGroups.get('rg', 'web-1-nsg', { expand: 'networkInterfaces' });
  assert.equal(group.networkInterfaces[0].ipConfigurations.length, 1);
  assert.equal(group.etag, plain.etag);
  await assert.rejects(client.networkSecurityGroups.get('rg', 'web-1-nsg', { expand: 'nonsense' }), restError(400, 'InvalidExpandQueryOption'));
});
