// @azure/arm-network: networks, interfaces, public addresses, security groups and their rules.
import { ComputeManagementClient } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import { ResourceManagementClient } from '@azure/arm-resources';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { describeMachine } from './machine.js';
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

test('an application security group: members, and Azure\'s rules about them', async () => {
  const group = await client.applicationSecurityGroups.beginCreateOrUpdateAndWait('rg', 'asg', { location: 'local', tags: { a: '1' } });
  assert.equal(group.provisioningState, 'Succeeded');
  assert.match(group.resourceGuid, /^[0-9a-f-]{36}$/);
  const again = await client.applicationSecurityGroups.beginCreateOrUpdateAndWait('rg', 'asg', { location: 'local', tags: { a: '2' } });
  assert.equal(again.resourceGuid, group.resourceGuid);
  assert.deepEqual((await client.applicationSecurityGroups.updateTags('rg', 'asg', { tags: { a: '3' } })).tags, { a: '3' });
  assert.deepEqual((await collect(client.applicationSecurityGroups.list('rg'))).map((g) => g.name), ['asg']);
  assert.deepEqual((await collect(client.applicationSecurityGroups.listAll())).map((g) => g.name), ['asg']);

  const network = await client.virtualNetworks.beginCreateOrUpdateAndWait('rg', 'asg-net', {
    location: 'local', addressSpace: { addressPrefixes: ['10.5.0.0/16'] }, subnets: [{ name: 'a', addressPrefix: '10.5.1.0/24' }],
  });
  const nic = { location: 'local', ipConfigurations: [{ name: 'x', subnet: { id: network.subnets[0].id }, applicationSecurityGroups: [{ id: group.id }] }] };
  const made = await client.networkInterfaces.beginCreateOrUpdateAndWait('rg', 'asg-nic', nic);
  assert.equal(made.ipConfigurations[0].applicationSecurityGroups[0].id, group.id);
  const sides = { sourceAddressPrefix: undefined, sourceApplicationSecurityGroups: [{ id: group.id }] };
  const nsg = await client.networkSecurityGroups.beginCreateOrUpdateAndWait('rg', 'asg-nsg', {
    location: 'local', securityRules: [rule('web', 100, '443', sides)],
  });
  assert.equal(nsg.securityRules[0].sourceApplicationSecurityGroups[0].id, group.id);
  await assert.rejects(client.securityRules.beginCreateOrUpdateAndWait('rg', 'asg-nsg', 'both',
    rule('both', 101, '443', { sourceApplicationSecurityGroups: [{ id: group.id }] })), restError(400, 'SecurityRuleParameterContainsBothSingularAndPlural'));
  await assert.rejects(client.applicationSecurityGroups.beginDeleteAndWait('rg', 'asg'), restError(400, 'InUseApplicationSecurityGroupCannotBeDeleted'));
  await client.networkInterfaces.beginDeleteAndWait('rg', 'asg-nic');
  await assert.rejects(client.applicationSecurityGroups.beginDeleteAndWait('rg', 'asg'), restError(400, 'InUseApplicationSecurityGroupCannotBeDeleted'));
  await client.networkSecurityGroups.beginDeleteAndWait('rg', 'asg-nsg');
  await client.applicationSecurityGroups.beginDeleteAndWait('rg', 'asg');
  await client.virtualNetworks.beginDeleteAndWait('rg', 'asg-net');
});

test('augmented rules: lists of prefixes and ports', async () => {
  const many = { sourceAddressPrefix: undefined, sourceAddressPrefixes: ['192.0.2.0/24', '2001:db8::/32'],
    destinationPortRange: undefined, destinationPortRanges: ['443', '8000-8100'] };
  const made = await client.networkSecurityGroups.beginCreateOrUpdateAndWait('rg', 'plural', { location: 'local', securityRules: [rule('r', 100, '', many)] });
  assert.deepEqual(made.securityRules[0].sourceAddressPrefixes, ['192.0.2.0/24', '2001:db8::/32']);
  assert.deepEqual(made.securityRules[0].destinationPortRanges, ['443', '8000-8100']);
  const write = (more) => client.securityRules.beginCreateOrUpdateAndWait('rg', 'plural', 'x', rule('x', 200, '80', more));
  await assert.rejects(write({ sourceAddressPrefixes: ['192.0.2.1'] }), restError(400, 'SecurityRuleParameterContainsBothSingularAndPlural'));
  await assert.rejects(write({ sourceAddressPrefix: undefined, sourceAddressPrefixes: ['Internet'] }), restError(400, 'SecurityRuleParameterContainsUnsupportedValue'));
  await client.networkSecurityGroups.beginDeleteAndWait('rg', 'plural');
});

test('service tags are data: unknown ones are refused by name, loaded ones are listed and taken', async () => {
  const allowFrom = (tag) => client.networkSecurityGroups.beginCreateOrUpdateAndWait('rg', 'tagged',
    { location: 'local', securityRules: [rule('r', 100, '443', { sourceAddressPrefix: tag })] });
  await assert.rejects(allowFrom('Storage.WestEurope'), (error) => restError(400, 'SecurityRuleInvalidAddressPrefix')(error) && /Storage\.WestEurope/.test(error.message));
  const file = { changeNumber: 300, cloud: 'Public', values: [{ name: 'Storage.WestEurope', id: 'Storage.WestEurope',
    properties: { changeNumber: 43, region: 'westeurope', systemService: 'AzureStorage', addressPrefixes: ['13.95.96.176/28', '2603:1020:200::/48'] } }] };
  const path = join(server.directory, 'tags.json');
  writeFileSync(path, JSON.stringify(file, null, 2));
  assert.match(server.merlon('network', 'service-tags', 'import', path), /1 added/);
  const tags = await client.serviceTags.list('westeurope');
  assert.equal(tags.changeNumber, '300');
  const tag = tags.values.find((value) => value.name === 'Storage.WestEurope');
  assert.deepEqual(tag.properties.addressPrefixes, ['13.95.96.176/28', '2603:1020:200::/48']);
  assert.equal((await allowFrom('Storage.WestEurope')).securityRules[0].sourceAddressPrefix, 'Storage.WestEurope');
  await client.networkSecurityGroups.beginDeleteAndWait('rg', 'tagged');
});

test('a peering: initiated, connected, disconnected', async () => {
  for (const [name, prefix] of [['left', '10.6.0.0/16'], ['right', '10.7.0.0/16']]) {
    await client.virtualNetworks.beginCreateOrUpdateAndWait('rg', name, { location: 'local', addressSpace: { addressPrefixes: [prefix] } });
  }
  const id = (name) => `/subscriptions/${server.subscription}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/${name}`;
  const peer = (from, to) => client.virtualNetworkPeerings.beginCreateOrUpdateAndWait('rg', from, 'p',
    { allowVirtualNetworkAccess: true, remoteVirtualNetwork: { id: id(to) } });
  const first = await peer('left', 'right');
  assert.equal(first.peeringState, 'Initiated');
  assert.deepEqual(first.remoteAddressSpace.addressPrefixes, ['10.7.0.0/16']);
  assert.equal((await peer('right', 'left')).peeringState, 'Connected');
  assert.equal((await client.virtualNetworkPeerings.get('rg', 'left', 'p')).peeringState, 'Connected');
  await assert.rejects(peer('left', 'left'), restError(400, 'VnetCannotBePeeredWithItself'));
  await client.virtualNetworkPeerings.beginDeleteAndWait('rg', 'right', 'p');
  const [left] = await collect(client.virtualNetworkPeerings.list('rg', 'left'));
  assert.equal(left.peeringState, 'Disconnected');
  await assert.rejects(peer('right', 'left'), restError(400, 'RemotePeeringIsDisconnected'));
  await client.virtualNetworks.beginDeleteAndWait('rg', 'left');
  await client.virtualNetworks.beginDeleteAndWait('rg', 'right');
});

test('what is enforced: effective rules, IP flow verify, the security group view', async () => {
  const compute = new ComputeManagementClient(server.credential(), server.subscription, server.options());
  const vm = await describeMachine(server, compute);
  const watcher = await client.networkWatchers.createOrUpdate('rg', 'nw', { location: 'local' });
  assert.equal(watcher.provisioningState, 'Succeeded');
  await client.securityRules.beginCreateOrUpdateAndWait('rg', 'web-1-nsg', 'https', rule('https', 200, '443', { sourceAddressPrefix: 'Internet' }));
  const { value: [group] } = await client.networkInterfaces.beginListEffectiveNetworkSecurityGroupsAndWait('rg', 'web-1-nic');
  assert.match(group.association.networkInterface.id, /web-1-nic$/);
  const https = group.effectiveSecurityRules.find((effective) => effective.name === 'securityRules/https');
  assert.equal(https.sourceAddressPrefix, 'Internet');
  assert.ok(https.expandedSourceAddressPrefix.includes('128.0.0.0/3'), https.expandedSourceAddressPrefix.join());
  assert.deepEqual(group.tagMap.VirtualNetwork, ['10.1.0.0/16', '168.63.129.16/32']);
  const [{ privateIPAddress }] = (await client.networkInterfaces.get('rg', 'web-1-nic')).ipConfigurations;
  const verify = (remoteIPAddress, localPort, more = {}) => client.networkWatchers.beginVerifyIPFlowAndWait('rg', 'nw', {
    targetResourceId: vm.id, direction: 'Inbound', protocol: 'TCP', localPort, remotePort: '*', localIPAddress: privateIPAddress, remoteIPAddress, ...more });
  assert.deepEqual(await verify('203.0.113.9', '443'), { access: 'Allow', ruleName: 'securityRules/https' });
  assert.deepEqual(await verify('203.0.113.9', '22'), { access: 'Deny', ruleName: 'defaultSecurityRules/DenyAllInBound' });
  assert.deepEqual(await verify('10.1.7.7', '22'), { access: 'Allow', ruleName: 'defaultSecurityRules/AllowVnetInBound' });
  await assert.rejects(verify('203.0.113.9', '22', { localIPAddress: '10.1.9.9' }), restError(400, 'InvalidParameter'));
  const view = await client.networkWatchers.beginGetVMSecurityRulesAndWait('rg', 'nw', { targetResourceId: vm.id });
  const { securityRuleAssociations } = view.networkInterfaces[0];
  assert.deepEqual(securityRuleAssociations.networkInterfaceAssociation.securityRules.map((r) => r.name), ['https']);
  assert.equal(securityRuleAssociations.defaultSecurityRules.length, 6);
  assert.deepEqual((await collect(client.networkWatchers.listAll())).map((w) => w.name), ['nw']);
  await client.networkWatchers.beginDeleteAndWait('rg', 'nw');
});
