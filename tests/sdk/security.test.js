// @azure/arm-security: just-in-time policies and requests. It is told its scope: it does not take it from the endpoint.
import { ComputeManagementClient } from '@azure/arm-compute';
import { SecurityCenter } from '@azure/arm-security';
import assert from 'node:assert/strict';
import { request as httpsRequest } from 'node:https';
import { after, before, test } from 'node:test';
import { describeMachine } from './machine.js';
import { collect, restError, startServer } from './server.js';

let server, client, vm;
before(async () => {
  server = await startServer();
  vm = await describeMachine(server, new ComputeManagementClient(server.credential(), server.subscription, server.options()));
  client = new SecurityCenter(server.credential(), server.subscription,
    { ...server.options(), $host: server.endpoint, credentialScopes: `${server.endpoint}/.default` });
});
after(() => server?.stop());

const policyWith = (...ports) => ({
  kind: 'Basic',
  virtualMachines: [{
    id: vm.id,
    ports: ports.map((number) => ({
      number, protocol: 'TCP', allowedSourceAddressPrefix: '192.0.2.0/24', maxRequestAccessDuration: 'PT1H',
    })),
  }],
});
const request = (number, minutes, source = '192.0.2.10') => ({
  virtualMachines: [{
    id: vm.id,
    ports: [{ number, endTimeUtc: new Date(Date.now() + minutes * 60_000), allowedSourceAddressPrefix: source }],
  }],
  justification: 'sdk',
});

test('a policy is created, read, listed and changed', async () => {
  const made = await client.jitNetworkAccessPolicies.createOrUpdate('rg', 'local', 'default', policyWith(22));
  assert.equal(made.provisioningState, 'Succeeded');
  assert.equal(made.type.toLowerCase(), 'microsoft.security/locations/jitnetworkaccesspolicies');
  const read = await client.jitNetworkAccessPolicies.get('rg', 'local', 'default');
  assert.deepEqual(read.virtualMachines[0].ports.map((port) => port.number), [22]);
  for (const list of [client.jitNetworkAccessPolicies.list(), client.jitNetworkAccessPolicies.listByRegion('local'),
    client.jitNetworkAccessPolicies.listByResourceGroup('rg'),
    client.jitNetworkAccessPolicies.listByResourceGroupAndRegion('rg', 'local')]) {
    assert.deepEqual((await collect(list)).map((policy) => policy.name), ['default']);
  }
  const changed = await client.jitNetworkAccessPolicies.createOrUpdate('rg', 'local', 'default', policyWith(22, 3389));
  assert.equal(changed.virtualMachines[0].ports.length, 2);
});

test('a request is granted, and remembered', async () => {
  const granted = await client.jitNetworkAccessPolicies.initiate('rg', 'local', 'default', request(22, 10));
  const [port] = granted.virtualMachines[0].ports;
  assert.equal(port.status, 'Initiated');
  assert.equal(port.statusReason, 'UserRequested');
  assert.equal(port.allowedSourceAddressPrefix, '192.0.2.10');
  assert.ok(port.endTimeUtc instanceof Date);
  assert.equal(granted.justification, 'sdk');
  const { requests } = await client.jitNetworkAccessPolicies.get('rg', 'local', 'default');
  assert.equal(requests.length, 1);
});

test('a newer request for the same takes the place of the older', async () => {
  await client.jitNetworkAccessPolicies.initiate('rg', 'local', 'default', request(22, 20));
  const { requests } = await client.jitNetworkAccessPolicies.get('rg', 'local', 'default');
  assert.deepEqual(requests.map((old) => old.virtualMachines[0].ports[0].statusReason), ['NewerRequestInitiated', 'UserRequested']);
  assert.deepEqual(requests.map((old) => old.virtualMachines[0].ports[0].status), ['Revoked', 'Initiated']);
});

test('what goes too far is refused', async () => {
  const initiate = (body) => client.jitNetworkAccessPolicies.initiate('rg', 'local', 'default', body);
  await assert.rejects(initiate(request(22, 120)), restError(400, 'JitRequestTooLong'));
  await assert.rejects(initiate(request(22, -5)), restError(400, 'JitRequestInThePast'));
  await assert.rejects(initiate(request(5985, 10)), restError(400, 'JitPortNotInPolicy'));
  await assert.rejects(initiate(request(22, 10, '203.0.113.1')), restError(400, 'JitSourceNotAllowed'));
  await assert.rejects(client.jitNetworkAccessPolicies.initiate('rg', 'local', 'nothing', request(22, 10)),
    restError(404, 'ResourceNotFound'));
  const nobody = server.application('nobody', '--secret');
  const theirs = new SecurityCenter(server.credential(nobody.clientId, nobody.clientSecret), server.subscription,
    { ...server.options(), $host: server.endpoint, credentialScopes: `${server.endpoint}/.default` });
  await assert.rejects(theirs.jitNetworkAccessPolicies.initiate('rg', 'local', 'default', request(22, 10)),
    restError(403, 'AuthorizationFailed'));
  const { requests } = await client.jitNetworkAccessPolicies.get('rg', 'local', 'default');
  assert.equal(requests.length, 2);
});

// What Azure has no client for: a policy's options, and somebody's yes.
async function merlonRequest(method, part, body, credential = server.credential()) {
  const { token } = await credential.getToken(`${server.endpoint}/.default`);
  const path = `/subscriptions/${server.subscription}/resourceGroups/rg/providers/Microsoft.Security/locations/local`
    + `/jitNetworkAccessPolicies/default${part && `/providers/Merlon.Jit/${part}`}?api-version=2026-11-01`;
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(`${server.endpoint}${path}`, {
      method, ca: server.ca, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => { text += chunk; });
      answer.on('end', () => resolve({ status: answer.statusCode, body: text ? JSON.parse(text) : {} }));
    });
    sent.on('error', reject);
    sent.end(body && JSON.stringify(body));
  });
}

test('while others must agree, an unmodified client is told that it is on its way', async () => {
  const options = { properties: { approval: { required: 1 } } };
  assert.equal((await merlonRequest('PUT', 'options/default', options)).status, 200);
  // What the client writes back knows nothing of options, and loosens nothing.
  const policy = await client.jitNetworkAccessPolicies.get('rg', 'local', 'default');
  await client.jitNetworkAccessPolicies.createOrUpdate('rg', 'local', 'default', policy);
  const asked = await client.jitNetworkAccessPolicies.initiate('rg', 'local', 'default', request(22, 10, '192.0.2.77'));
  assert.equal(asked.virtualMachines[0].ports[0].status, 'Initiating');
  const newest = async () => (await client.jitNetworkAccessPolicies.get('rg', 'local', 'default')).requests.at(-1);
  assert.equal((await newest()).virtualMachines[0].ports[0].status, 'Initiating');
  const { body } = await merlonRequest('GET', 'options/default');
  assert.equal(body.properties.approval.required, 1);
  const app = server.application('second', '--secret');
  server.merlon('role', 'assign', '--role', 'Owner', '--assignee', app.objectId, '--resource-group', 'rg');
  // The client's model leaves out the request's id, which the document has.
  const { body: document } = await merlonRequest('GET', '');
  const { id } = document.properties.requests.at(-1);
  assert.equal((await merlonRequest('GET', `requests/${id}`)).body.properties.state, 'Pending');
  const own = await merlonRequest('POST', `requests/${id}/approve`, {});
  assert.equal(own.body.error.code, 'JitApproverIsRequester');
  const approved = await merlonRequest('POST', `requests/${id}/approve`, { justification: 'sdk' },
    server.credential(app.clientId, app.clientSecret));
  assert.equal(approved.body.properties.state, 'Approved');
  const { ports: [port] } = (await newest()).virtualMachines[0];
  assert.equal(port.status, 'Initiated');
  assert.equal(port.allowedSourceAddressPrefix, '192.0.2.77');
});

test('a policy is deleted', async () => {
  await client.jitNetworkAccessPolicies.delete('rg', 'local', 'default');
  await assert.rejects(client.jitNetworkAccessPolicies.get('rg', 'local', 'default'), restError(404, 'ResourceNotFound'));
});
