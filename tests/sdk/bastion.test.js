// @azure/arm-network: bastion hosts in their four SKUs, and the sessions through them.
import { ComputeManagementClient } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import assert from 'node:assert/strict';
import { request as open } from 'node:https';
import { after, before, test } from 'node:test';
import { describeMachine } from './machine.js';
import { collect, restError, startServer } from './server.js';

let server, client, machine, subnet, address;
before(async () => {
  server = await startServer();
  const compute = new ComputeManagementClient(server.credential(), server.subscription, server.options());
  machine = await describeMachine(server, compute);
  client = new NetworkManagementClient(server.credential(), server.subscription, server.options());
  subnet = await client.subnets.beginCreateOrUpdateAndWait('rg', 'net', 'AzureBastionSubnet', { addressPrefix: '10.1.255.0/26' });
  address = await client.publicIPAddresses.beginCreateOrUpdateAndWait('rg', 'front-ip', {
    location: 'local', sku: { name: 'Standard' }, publicIPAllocationMethod: 'Static',
  });
});
after(() => server?.stop());

const host = (sku, more = {}) => ({
  location: 'local', sku: { name: sku },
  ipConfigurations: [{ name: 'conf', subnet: { id: subnet.id }, publicIPAddress: { id: address.id } }], ...more,
});

test('a bastion is made, shown, listed, tagged and raised', async () => {
  const made = await client.bastionHosts.beginCreateOrUpdateAndWait('rg', 'front', host('Basic'));
  assert.equal(made.provisioningState, 'Succeeded');
  assert.equal(made.sku.name, 'Basic');
  assert.equal(made.scaleUnits, 2);
  assert.match(made.dnsName, /^bst-[0-9a-f-]{36}\.bastion\./);
  assert.deepEqual((await collect(client.bastionHosts.listByResourceGroup('rg'))).map((h) => h.name), ['front']);
  assert.deepEqual((await collect(client.bastionHosts.list())).map((h) => h.name), ['front']);
  const tagged = await client.bastionHosts.beginUpdateTagsAndWait('rg', 'front', { tags: { tier: 'front' } });
  assert.deepEqual(tagged.tags, { tier: 'front' });
  const raised = await client.bastionHosts.beginCreateOrUpdateAndWait('rg', 'front', host('Standard', { enableTunneling: true, scaleUnits: 3 }));
  assert.equal(raised.dnsName, made.dnsName);
  assert.equal(raised.enableTunneling, true);
  assert.equal((await client.bastionHosts.get('rg', 'front')).scaleUnits, 3);
});

test('what the SKU lacks is refused, and it is never lowered', async () => {
  await assert.rejects(client.bastionHosts.beginCreateOrUpdateAndWait('rg', 'front', host('Standard', { enableSessionRecording: true })),
    restError(400, 'FeatureNotSupportedForStandardBastionSku'));
  await assert.rejects(client.bastionHosts.beginCreateOrUpdateAndWait('rg', 'front', host('Basic')),
    restError(400, 'BastionHostSkuDowngradeNotSupported'));
  assert.equal((await client.bastionHosts.get('rg', 'front')).sku.name, 'Standard');
});

test('sessions are listed and disconnected', async () => {
  assert.deepEqual(await collect(client.beginListActiveSessionsAndWait('rg', 'front')), []);
  const states = await collect(client.listDisconnectActiveSessions('rg', 'front', { sessionIds: ['00000000-0000-4000-8000-000000000000'] }));
  assert.deepEqual(states.map((s) => s.state), ['Failed']);
});

// One request to the bastion's own name.
async function plane(method, path, headers = {}, body = '') {
  const { dnsName } = await client.bastionHosts.get('rg', 'front');
  const [name, port] = dnsName.split(':');
  return new Promise((resolve, reject) => {
    const request = open({ host: '127.0.0.1', port, servername: name, ca: server.ca, method, path, headers: { Host: dnsName, ...headers } },
      (response) => {
        let text = '';
        response.on('data', (part) => { text += part; });
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
      });
    request.on('error', reject);
    request.end(body);
  });
}

test('shareable links are made, shown again, opened and deleted', async () => {
  const wanted = { vms: [{ vm: { id: machine.id } }] };
  await assert.rejects(collect(client.beginListPutBastionShareableLinkAndWait('rg', 'front', wanted)), restError(400, 'ShareableLinkNotEnabled'));
  await client.bastionHosts.beginCreateOrUpdateAndWait('rg', 'front', host('Standard', { enableTunneling: true, enableShareableLink: true }));
  const [made] = await collect(client.beginListPutBastionShareableLinkAndWait('rg', 'front', wanted));
  assert.equal(made.vm.id, machine.id);
  assert.ok(made.createdAt && !made.message);
  const { dnsName } = await client.bastionHosts.get('rg', 'front');
  assert.ok(made.bsl.startsWith(`https://${dnsName}/api/shareable-url/`), made.bsl);
  const [shown] = await collect(client.listBastionShareableLink('rg', 'front', wanted));
  assert.equal(shown.bsl, made.bsl);
  const path = new URL(made.bsl).pathname;
  const opened = await plane('GET', path, { Accept: 'text/html' });
  assert.equal(opened.status, 303);
  assert.match(opened.headers['set-cookie'][0], /^__Host-merlon-link=.*HttpOnly/);
  assert.equal(JSON.parse((await plane('GET', path)).text).machine, machine.name);
  await client.beginDeleteBastionShareableLinkByTokenAndWait('rg', 'front', { tokens: [path.split('/').pop()] });
  assert.equal((await plane('GET', path)).status, 404);
  await collect(client.beginListPutBastionShareableLinkAndWait('rg', 'front', wanted));
  await client.beginDeleteBastionShareableLinkAndWait('rg', 'front', wanted);
  assert.deepEqual(await collect(client.listBastionShareableLink('rg', 'front', wanted)), []);
});

test('tokens are given to whoever may, for a machine of its network', async () => {
  const { dnsName } = await client.bastionHosts.get('rg', 'front');
  const [name, port] = dnsName.split(':');
  const { token } = await server.credential().getToken(server.endpoint + '/.default');
  const ask = (aztoken) => new Promise((resolve, reject) => {
    const form = new URLSearchParams({ resourceId: machine.id, protocol: 'tcptunnel', workloadHostPort: '22', aztoken });
    const request = open({
      host: '127.0.0.1', port, servername: name, ca: server.ca, method: 'POST', path: '/api/tokens',
      headers: { Host: dnsName, 'Content-Type': 'application/x-www-form-urlencoded' },
    }, (response) => {
      let body = '';
      response.on('data', (part) => { body += part; });
      response.on('end', () => resolve({ status: response.statusCode, ...JSON.parse(body) }));
    });
    request.on('error', reject);
    request.end(form.toString());
  });
  const given = await ask(token);
  assert.equal(given.status, 200, given.message);
  assert.ok(given.authToken && given.nodeId && given.websocketToken);
  const refused = await ask('nonsense');
  assert.equal(refused.status, 401);
  assert.ok(refused.message.length > 10);
});

test('it is deleted', async () => {
  await client.bastionHosts.beginDeleteAndWait('rg', 'front');
  await assert.rejects(client.bastionHosts.get('rg', 'front'), (error) => error.statusCode === 404);
});
