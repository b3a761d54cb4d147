// Managed identities by @azure/identity, unmodified, both ways: Azure Arc's endpoint with its challenge file, and
// 169.254.169.254. The test runs itself once more in namespaces of its own, so that an agent may keep the firewall
// there, and its challenge files do not meet another's.
import { strict as assert } from 'node:assert';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const inside = process.env.MERLON_TEST_NAMESPACE === '1';
const arc = { IDENTITY_ENDPOINT: 'http://127.0.0.1:40342/metadata/identity/oauth2/token', IMDS_ENDPOINT: 'http://127.0.0.1:40342' };

if (!inside) {
  test('managed identities in namespaces of their own', { timeout: 280_000 }, () => {
    const script = fileURLToPath(import.meta.url);
    const setup = `mount -t tmpfs none /var/opt && ip link set lo up && ip link add up0 type veth peer name up1 && ip link set up1 up &&
      ip address add 192.0.2.1/24 dev up0 && ip link set up0 up && ip route add default via 192.0.2.254 &&
      exec "$@"`;
    const environment = { ...process.env, MERLON_TEST_NAMESPACE: '1' };
    delete environment.NODE_TEST_CONTEXT; // it is a run of its own, not a part of this one
    const ran = spawnSync('unshare', ['--net', '--mount', '--propagation', 'private', 'bash', '-c', setup, 'setup',
      process.execPath, '--test', '--test-reporter=spec', script], { env: environment, encoding: 'utf8' });
    assert.equal(ran.status, 0, `${ran.stdout}\n${ran.stderr}`);
    assert.match(ran.stdout, /pass 6\b/, ran.stdout);
  });
} else {
  const { ComputeManagementClient } = await import('@azure/arm-compute');
  const { ManagedServiceIdentityClient } = await import('@azure/arm-msi');
  const { ResourceManagementClient } = await import('@azure/arm-resources');
  const { startServer } = await import('./server.js');
  const { describeMachine } = await import('./machine.js');

  const scope = 'https://management.azure.com/.default';
  let server, compute, identities, agent, vm, app, refusal;

  const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
  async function until(what, check, seconds = 30) {
    const end = Date.now() + seconds * 1000 * Number(process.env.MERLON_PATIENCE ?? 1);
    for (;;) {
      const got = await check();
      if (got) return got;
      assert.ok(Date.now() < end, `not in time: ${what}\n${readFileSync(join(server.directory, 'agent.log'), 'utf8').slice(-3000)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  // Each in a process of its own: @azure/msal-node finds out once in a process where tokens come from, and keeps them
  // for whoever asks there. Nothing when there is none.
  let way = {};
  const use = (environment) => (way = environment);
  const program = `import { ManagedIdentityCredential } from '@azure/identity';
    const got = await new ManagedIdentityCredential(JSON.parse(process.argv[1])).getToken('${scope}');
    process.stdout.write(got.token);`;
  function tokenOf(options = {}) {
    const environment = { ...process.env, ...way };
    const ran = spawnSync(process.execPath, ['--input-type=module', '--eval', program, JSON.stringify(options)],
      { env: environment, encoding: 'utf8', cwd: import.meta.dirname ?? fileURLToPath(new URL('.', import.meta.url)) });
    refusal = ran.stderr;
    return ran.status === 0 ? ran.stdout : undefined;
  }
  // The status of a plain request, where a process would take too long to start.
  const status = (query) => new Promise((resolve, reject) => {
    get(`http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/&${query}`,
      { headers: { Metadata: 'true' } }, (response) => { response.resume(); resolve(response.statusCode); }).on('error', reject);
  });
  async function works(token) {
    const { status } = await server.request('GET', `${server.endpoint}/subscriptions/${server.subscription}/resourceGroups/rg?api-version=2021-04-01`, token);
    return status;
  }
  const callers = async (properties) => {
    const admin = await server.credential().getToken(scope);
    const { status, text } = await server.request('PUT', `${server.endpoint}${vm.id}/providers/Merlon.ManagedIdentity/callers/default?api-version=2024-05-01`, admin.token, { properties });
    assert.equal(status, 200, text);
  };

  before(async () => {
    server = await startServer();
    compute = new ComputeManagementClient(server.credential(), server.subscription, server.options());
    identities = new ManagedServiceIdentityClient(server.credential(), server.subscription, server.options());
    vm = await describeMachine(server, compute);
    app = await identities.userAssignedIdentities.createOrUpdate('rg', 'app', { location: 'local' });
    const said = JSON.parse(server.merlon('machine', 'token', '--resource-group', 'rg', '--name', 'web-1', '--output', 'json'));
    const state = join(server.directory, 'agent');
    execFileSync(process.env.MERLON, ['agent', 'enrol', '--server', server.endpoint, '--ca', server.caFile, '--token', said.token, '--state', state]);
    const log = openSync(join(server.directory, 'agent.log'), 'w');
    agent = spawn(process.env.MERLON, ['agent', 'run', '--state', state], { stdio: ['ignore', log, log] });
  });
  after(async () => {
    const ended = agent && new Promise((resolve) => agent.once('exit', resolve));
    agent?.kill('SIGTERM');
    await ended;
    await server?.stop();
  });

  test('a machine gets an identity of its own, and a user-assigned one', async () => {
    vm = await compute.virtualMachines.beginUpdateAndWait('rg', 'web-1', {
      identity: { type: 'SystemAssigned, UserAssigned', userAssignedIdentities: { [app.id]: {} } },
    });
    assert.equal(vm.identity.type, 'SystemAssigned, UserAssigned');
    assert.match(vm.identity.principalId, /^[0-9a-f-]{36}$/);
    assert.equal(vm.identity.tenantId, server.tenant);
    assert.equal(vm.identity.userAssignedIdentities[app.id].principalId, app.principalId);
    assert.equal(vm.identity.userAssignedIdentities[app.id].clientId, app.clientId);
    for (const id of [vm.identity.principalId, app.principalId])
      server.merlon('role', 'assign', '--assignee', id, '--role', 'Reader', '--scope', `/subscriptions/${server.subscription}/resourceGroups/rg`);
  });

  test('by Azure Arc\'s endpoint, as root', async () => {
    use(arc);
    const token = await until('a token', () => tokenOf());
    const said = claims(token);
    assert.equal(said.oid, vm.identity.principalId);
    assert.equal(said.xms_mirid, vm.id);
    assert.equal(said.aud, 'https://management.azure.com');
    assert.equal(await works(token), 200);
    const held = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 600_000 }) };
    const resources = new ResourceManagementClient(held, server.subscription, server.options());
    assert.equal((await resources.resourceGroups.get('rg')).name, 'rg', 'a client of Azure\'s works with it');
  });

  test('at 169.254.169.254, each identity by each of its names', async () => {
    use({});
    await callers({ linkLocal: true, rules: [{ name: 'root', users: ['root'], identities: ['SystemAssigned', app.id] }] });
    const token = await until('a token', () => tokenOf());
    assert.equal(claims(token).oid, vm.identity.principalId);
    assert.equal(await works(token), 200);
    for (const options of [{ clientId: app.clientId }, { resourceId: app.id }, { objectId: app.principalId }]) {
      const given = claims(tokenOf(options) ?? assert.fail(`${JSON.stringify(options)}: ${refusal}`));
      assert.equal(given.oid, app.principalId, JSON.stringify(options));
      assert.equal(given.xms_mirid, app.id);
      assert.equal(given.xms_az_rid, vm.id);
    }
    assert.equal(tokenOf({ clientId: '00000000-0000-4000-8000-000000000000' }), undefined);
    assert.match(refusal, /Identity not found/);
  });

  test('who may not ask gets nothing, either way', async () => {
    await callers({ linkLocal: true, rules: [{ name: 'web', users: ['www-data'], identities: ['SystemAssigned'] }] });
    use({});
    await until('root is refused', async () => (await status('')) === 403);
    assert.equal(tokenOf(), undefined);
    use(arc);
    assert.equal(tokenOf(), undefined);
    assert.match(refusal, /No rule of this machine's owner/);
    await callers({ linkLocal: true, rules: [{ name: 'root', users: ['root'], identities: [app.id] }] });
    use({});
    const token = await until('root may ask for one of them', () => tokenOf({ clientId: app.clientId }));
    assert.equal(claims(token).oid, app.principalId);
    assert.equal(tokenOf({ objectId: vm.identity.principalId }), undefined, 'but not for the other');
  });

  test('while the rules change nobody is turned away as if no agent were there', async () => {
    const users = [['daemon'], ['root'], ['bin'], ['root']];
    const heard = new Set();
    for (const some of users) {
      let changed = false;
      const change = callers({ linkLocal: true, rules: [{ name: 'root', users: some, identities: [app.id] }] })
        .then(() => new Promise((resolve) => setTimeout(resolve, 500))).then(() => (changed = true));
      while (!changed) heard.add(await status(`client_id=${app.clientId}`)); // rejects when a connection is refused
      await change;
    }
    assert.ok([...heard].every((answer) => [200, 403, 429, 503].includes(answer)), [...heard].join());
    await until('the last ones hold', async () => (await status(`client_id=${app.clientId}`)) === 200);
  });

  test('an identity that is taken away ends within a second, with the tokens that were got', async () => {
    use({});
    const token = await tokenOf({ clientId: app.clientId });
    assert.equal(await works(token), 200);
    await compute.virtualMachines.beginUpdateAndWait('rg', 'web-1', { identity: { type: 'SystemAssigned' } });
    assert.equal(await works(token), 401, 'from the moment of the answer');
    await until('nothing new either', async () => (await status(`client_id=${app.clientId}`)) !== 200, 1);
  });
}
