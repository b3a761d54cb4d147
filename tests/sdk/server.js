// A Merlon of its own for one test file, and Azure's clients pointed at it, as a user would: an endpoint, an authority
// host and the certificate authority, nothing else.
import { ClientSecretCredential } from '@azure/identity';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { get, request as open } from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';

const binary = process.env.MERLON;
if (!binary) throw new Error('MERLON is not set: start these tests with ./test --only sdk');

async function freePort() {
  const socket = createServer();
  await new Promise((resolve, reject) => socket.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(resolve));
  return port;
}

function answers(port, ca) {
  return new Promise((resolve) => {
    const request = get({ host: 'localhost', port, path: '/healthz', ca, timeout: 1000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

export async function startServer(...more) {
  const directory = mkdtempSync(join(process.env.MERLON_TMP ?? '/tmp', 'sdk-'));
  const state = join(directory, 'state');
  const port = await freePort();
  const log = openSync(join(directory, 'server.log'), 'w');
  const child = spawn(
    binary,
    ['server', '--state', state, '--keep-bootstrap', '--listen', `127.0.0.1:${port}`, '--listen', `[::1]:${port}`,
      ...more],
    { stdio: ['ignore', log, log] },
  );
  const deadline = Date.now() + 15_000 * Number(process.env.MERLON_PATIENCE ?? 1);
  const caFile = join(state, 'ca.pem');
  while (!existsSync(caFile) || !(await answers(port, readFileSync(caFile)))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`the server did not start: ${readFileSync(join(directory, 'server.log'), 'utf8')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return new Server(directory, state, child);
}

export class Server {
  constructor(directory, state, child) {
    this.directory = directory;
    this.child = child;
    this.first = JSON.parse(readFileSync(join(state, 'bootstrap.json'), 'utf8'));
    this.endpoint = this.first.endpoint;
    this.subscription = this.first.subscriptionId;
    this.tenant = this.first.tenantId;
    this.caFile = this.first.caFile;
    this.ca = readFileSync(this.caFile, 'utf8');
    // What NODE_EXTRA_CA_CERTS does, which would have to be set before the server exists.
    this.trust = { tlsOptions: { ca: this.ca } };
  }

  credential(clientId = this.first.clientId, clientSecret = this.first.clientSecret) {
    return new ClientSecretCredential(this.tenant, clientId, clientSecret, this.authority());
  }
  authority() {
    return { authorityHost: this.endpoint, disableInstanceDiscovery: true, ...this.trust };
  }
  // For a client of a package: new Client(credential, subscription, server.options())
  options() {
    return { endpoint: this.endpoint, ...this.trust };
  }

  // A plain request, for what no SDK would send: { status, headers, text, body }
  request(method, url, token, content) {
    return new Promise((resolve, reject) => {
      const headers = token ? { authorization: `Bearer ${token}` } : {};
      if (content) headers['content-type'] = 'application/json';
      const sent = open(url, { method, ca: this.ca, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => (text += part));
        response.on('end', () => resolve({
          status: response.statusCode, headers: response.headers, text, body: text.startsWith('{') ? JSON.parse(text) : undefined,
        }));
      }).on('error', reject);
      sent.end(content && JSON.stringify(content));
    });
  }

  merlon(...args) {
    const environment = {
      ...process.env,
      MERLON_ENDPOINT: this.endpoint,
      MERLON_CA: this.caFile,
      MERLON_TENANT: this.tenant,
      MERLON_CLIENT_ID: this.first.clientId,
      MERLON_CLIENT_SECRET: this.first.clientSecret,
    };
    return execFileSync(binary, args, { env: environment, encoding: 'utf8' });
  }
  // An application that may do nothing yet: { clientId, objectId, clientSecret }
  application(name, ...more) {
    return JSON.parse(this.merlon('app', 'create', '--name', name, ...more, '--output', 'json'));
  }

  async stop() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    await ended;
  }
}

export async function collect(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

// For assert.rejects: Azure's typed error with this status and code, and a message that says something.
export function restError(statusCode, code) {
  return (error) => {
    if (error.name !== 'RestError' || error.statusCode !== statusCode || error.code !== code) {
      throw new Error(`wanted RestError ${statusCode} ${code}, got ${error.name} ${error.statusCode} ${error.code}: ${error.message}`);
    }
    return error.message.length > 10;
  };
}
