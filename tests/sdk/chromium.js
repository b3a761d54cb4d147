// Chromium, driven over its debugging pipe (Chrome DevTools Protocol), with a virtual authenticator in place of a
// person's: it makes real passkeys, and the browser checks origin and name as it does for everybody.
import { spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// The hash of the server's key: what Chromium is told to trust, since it asks no file for authorities.
function keyHash(url, ca) {
  return new Promise((resolve, reject) => {
    // A session of TLS that is taken up again shows no certificate.
    const sent = request(url, { ca, agent: false }, (response) => {
      response.resume();
      const certificate = new X509Certificate(response.socket.getPeerCertificate().raw);
      const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
      resolve(createHash('sha256').update(key).digest('base64'));
    });
    sent.on('error', reject);
    sent.end();
  });
}

export class Chromium {
  static async start(server) {
    const browser = new Chromium();
    const profile = mkdtempSync(join(process.env.MERLON_TMP ?? tmpdir(), 'chromium-'));
    browser.child = spawn('chromium', [
      '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
      '--disable-component-update', '--disable-background-networking', '--remote-debugging-pipe',
      `--ignore-certificate-errors-spki-list=${await keyHash(server.endpoint, server.ca)}`,
      `--user-data-dir=${profile}`, 'about:blank',
    ], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: profile } });
    browser.listen();
    const { targetInfos } = await browser.send('Target.getTargets');
    const { targetId } = targetInfos.find((target) => target.type === 'page')
      ?? await browser.send('Target.createTarget', { url: 'about:blank' });
    ({ sessionId: browser.session } = await browser.send('Target.attachToTarget', { targetId, flatten: true }));
    await browser.send('Page.enable');
    await browser.send('WebAuthn.enable');
    await browser.send('Log.enable');
    await browser.send('Runtime.enable');
    return browser;
  }

  listen() {
    this.next = 0;
    this.waiting = new Map();
    this.complaints = []; // what pages were refused, and where their scripts failed
    let text = '';
    this.child.stdio[4].setEncoding('utf8').on('data', (chunk) => {
      const messages = (text + chunk).split('\0');
      text = messages.pop();
      for (const message of messages.map((one) => JSON.parse(one))) {
        if (message.method === 'Log.entryAdded' && /Content Security Policy|Trusted/i.test(message.params.entry.text))
          this.complaints.push(message.params.entry.text);
        if (message.method === 'Runtime.exceptionThrown')
          this.complaints.push(JSON.stringify(message.params.exceptionDetails).slice(0, 1000));
        const waiting = this.waiting.get(message.id);
        this.waiting.delete(message.id);
        if (message.error) waiting?.reject(new Error(JSON.stringify(message.error)));
        else waiting?.resolve(message.result);
      }
    });
    this.child.on('exit', () => { for (const { reject } of this.waiting.values()) reject(new Error('Chromium has ended')); });
  }

  send(method, params = {}) {
    const id = ++this.next;
    const session = this.session && { sessionId: this.session };
    this.child.stdio[3].write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    return new Promise((resolve, reject) => { this.waiting.set(id, { resolve, reject }); });
  }

  // A device that its owner unlocks, or does not.
  async plugIn(verified = true) {
    const options = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
      isUserVerified: verified, automaticPresenceSimulation: true };
    ({ authenticatorId: this.authenticator } = await this.send('WebAuthn.addVirtualAuthenticator', { options }));
  }
  credentials() {
    return this.send('WebAuthn.getCredentials', { authenticatorId: this.authenticator });
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate',
      { expression, awaitPromise: true, returnByValue: true, userGesture: true });
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }
  text() { return this.evaluate('document.body ? document.body.innerText : ""'); }
  async shows(wanted, seconds = 20) {
    const end = Date.now() + seconds * 1000 * (Number(process.env.MERLON_PATIENCE) || 1);
    let last = '';
    while (Date.now() < end) {
      last = await this.text().catch(() => '');
      if (wanted.test(last)) return last;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`not on the page: ${wanted}; there is: ${last}`);
  }
  async open(url) { await this.send('Page.navigate', { url }); }
  async fill(fields) {
    for (const [name, value] of Object.entries(fields))
      await this.evaluate(`document.querySelector('[name="${name}"]').value = ${JSON.stringify(value)}`);
  }
  press(button) { return this.evaluate(`document.querySelector(${JSON.stringify(button)}).click()`); }
  // Keys as a person types them, into whatever has the focus.
  async type(text) {
    for (const key of text) {
      const enter = key === '\n';
      const what = { key: enter ? 'Enter' : key, text: enter ? '\r' : key, ...(enter && { windowsVirtualKeyCode: 13 }) };
      await this.send('Input.dispatchKeyEvent', { type: 'keyDown', ...what });
      await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...what });
    }
  }
  async choose(selector, files) {
    const { result } = await this.send('Runtime.evaluate', { expression: `document.querySelector(${JSON.stringify(selector)})` });
    await this.send('DOM.setFileInputFiles', { files, objectId: result.objectId });
  }
  forget() { return this.send('Network.clearBrowserCookies'); }

  stop() { this.child.kill('SIGKILL'); }
}
