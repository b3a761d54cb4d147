// @azure/arm-network: networks, interfaces, public addresses, security groups and their rules.
import { NetworkManagementClient } from '@azure/arm-network';
import { ResourceManagementClient } from '@azure/arm-resources';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { collect, restError, startServer } from './server.js';

let server, client;
before(async () => {
  server = await startServer();
  const groups = new ResourceManagementClient(server.credential(), server.subscription, server.options()).resourceGroups;
  await groups.createOrUpdate('rg', { location: 'local' });
  client = new NetworkManagementClient(server.credential(), server.subscription, server.options());
});
after(() => server?.stop());

const rule = (name, priority, port, more = {}) => ({
  name, priority, protocol: 'Tcp', access: 'Allow', direction: 'Inbound', sourceAddressPrefix: '*', sourcePortRange: '*',
  destinationAddressPrefix: '*', destinationPortRange: port, ...more,
});

test('a security group, with Azure\'s default rules', async () => {
  const made = await client.networkSecurityGroups.beginCreateOrUpdateAndWait('rg', 'web', {
    location: 'local', securityRules: [rule('https', 200, '443')], tags: { tier: 'web' },
  });
  assert.equal(made.provisioningState, 'Succeeded');
  assert.deepEqual(made.securityRules.map((r) => [r.name, r.priority]), [['https', 200]]);
  assert.deepEqual(made.defaultSecurityRules.map((r) => [r.name, r.priority, r.access]), [
    ['AllowVnetInBound', 65000, 'Allow'], ['AllowAzureLoadBalancerInBound', 65001, 'Allow'], ['DenyAllInBound', 65500, 'Deny'],
    ['AllowVnetOutBound', 65000, 'Allow'], ['AllowInternetOutBound', 65001, 'Allow'], ['DenyAllOutBound', 65500, 'Deny'],
  ]);
  assert.equal((await client.networkSecurityGroups.get('rg', 'web')).etag, made.etag);
  assert.deepEqual((await collect(client.networkSecurityGroups.list('rg'))).map((group) => group.name), ['web']);
  assert.deepEqual((await collect(client.networkSecurityGroups.listAll())).map((group) => group.name), ['web']);
  const tagged = await client.networkSecurityGroups.updateTags('rg', 'web', { tags: { tier: 'front' } });
  assert.deepEqual(tagged.tags, { tier: 'front' });
  assert.equal(tagged.securityRules.length, 1);
});

test('its rules, one by one', async () => {
  const made = await client.securityRules.beginCreateOrUpdateAndWait('rg', 'web', 'ssh', rule('ssh', 300, '22'));
  assert.equal(made.provisioningState, 'Succeeded');
  assert.equal((await client.securityRules.get('rg', 'web', 'ssh')).destinationPortRange, '22');
  assert.deepEqual((await collect(client.securityRules.list('rg', 'web'))).map((r) => r.name).sort(), ['https', 'ssh']);
  const changed = await client.securityRules.beginCreateOrUpdateAndWait('rg', 'web', 'ssh',
    rule('ssh', 300, '22', { sourceAddressPrefix: '192.0.2.0/24' }));
  assert.equal(changed.sourceAddressPrefix, '192.0.2.0/24');
  const defaults = await collect(client.defaultSecurityRules.list('rg', 'web'));
  assert.equal(defaults.length, 6);
  await client.securityRules.beginDeleteAndWait('rg', 'web', 'ssh');
  await assert.rejects(client.securityRules.get('rg', 'web', 'ssh'), (error) => error.statusCode === 404);
});

test('a rule that cannot be meant is refused, and changes nothing', async () => {
  await assert.rejects(client.securityRules.beginCreateOrUpdateAndWait('rg', 'web', 'twin', rule('twin', 200, '8443')),
    restError(400, 'SecurityRuleConflict'));
  for (const bad of [{ priority: 99 }, { priority: 4097 }, { destinationPortRange: '70000' },
    { sourceAddressPrefix: 'nowhere' }, { protocol: 'Pigeon' }]) {
    await assert.rejects(
      client.securityRules.beginCreateOrUpdateAndWait('rg', 'web', 'bad', { ...rule('bad', 400, '80'), ...bad }),
      (error) => error.name === 'RestError' && error.statusCode === 400, JSON.stringify(bad));
  }
  assert.deepEqual((await collect(client.securityRules.list('rg', 'web'))).map((r) => r.name), ['https']);
});

test('an old ETag is a conflict', async () => {
  const { etag } = await client.networkSecurityGroups.get('rg', 'web');
  await client.securityRules.beginCreateOrUpdateAndWait('rg', 'web', 'meanwhile', rule('meanwhile', 500, '81'));
  await assert.rejects(
    client.networkSecurityGroups.beginCreateOrUpdateAndWait('rg', 'web', { location: 'local', securityRules: [] },
      { requestOptions: { customHeaders: { 'If-Match': etag } } }),
    restError(412, 'PreconditionFailed'));
  assert.equal((await collect(client.securityRules.list('rg', 'web'))).length, 2);
});

test('a network with its subnets', async () => {
  const made = await client.virtualNetworks.beginCreateOrUpdateAndWait('rg', 'net', {
    location: 'local', addressSpace: { addressPrefixes: ['10.1.0.0/16'] }, subnets: [{ name: 'a', addressPrefix: '10.1.1.0/24' }],
  });
  assert.equal(made.subnets[0].id, `${made.id}/subnets/a`);
  await client.subnets.beginCreateOrUpdateAndWait('rg', 'net', 'b', { addressPrefix: '10.1.2.0/24' });
  assert.deepEqual((await collect(client.subnets.list('rg', 'net'))).map((subnet) => subnet.name).sort(), ['a', 'b']);
  await assert.rejects(client.subnets.beginCreateOrUpdateAndWait('rg', 'net', 'c', { addressPrefix: '10.1.2.0/25' }),
    restError(400, 'NetcfgSubnetRangesOverlap'));
  await assert.rejects(client.subnets.beginCreateOrUpdateAndWait('rg', 'net', 'c', { addressPrefix: '10.9.0.0/24' }),
    restError(400, 'NetcfgInvalidSubnet'));
});

test('an interface with a public address, and what is in use cannot go', async () => {
  const publicAddress = await client.publicIPAddresses.beginCreateOrUpdateAndWait('rg', 'ip', {
    location: 'local', publicIPAllocationMethod: 'Static', ipAddress: '203.0.113.5',
  });
  const subnet = await client.subnets.get('rg', 'net', 'a');
  const group = await client.networkSecurityGroups.get('rg', 'web');
  const made = await client.networkInterfaces.beginCreateOrUpdateAndWait('rg', 'nic', {
    location: 'local', networkSecurityGroup: { id: group.id },
    ipConfigurations: [{ name: 'ipconfig1', subnet: { id: subnet.id }, publicIPAddress: { id: publicAddress.id } }],
  });
  assert.match(made.ipConfigurations[0].privateIPAddress, /^10\.1\.1\.\d+$/);
  assert.deepEqual((await client.networkSecurityGroups.get('rg', 'web')).networkInterfaces.map((nic) => nic.id), [made.id]);
  await assert.rejects(client.networkSecurityGroups.beginDeleteAndWait('rg', 'web'),
    restError(400, 'InUseNetworkSecurityGroupCannotBeDeleted'));
  await assert.rejects(client.subnets.beginDeleteAndWait('rg', 'net', 'a'), restError(400, 'InUseSubnetCannotBeDeleted'));
  await client.networkInterfaces.beginDeleteAndWait('rg', 'nic');
  await client.networkSecurityGroups.beginDeleteAndWait('rg', 'web');
  await client.virtualNetworks.beginDeleteAndWait('rg', 'net');
  await client.publicIPAddresses.beginDeleteAndWait('rg', 'ip');
  await assert.rejects(client.networkSecurityGroups.get('rg', 'web'), restError(404, 'ResourceNotFound'));
});
