// A person at a browser: keeps cookies, fills in the form with the button that they press.
import { request } from 'node:https';

export class Browser {
  constructor(server) {
    this.server = server;
    this.cookies = new Map();
  }

  async open(url, fields) {
    const body = fields && new URLSearchParams(fields).toString();
    const answer = await new Promise((resolve, reject) => {
      const sent = request(url, {
        method: body === undefined ? 'GET' : 'POST',
        ca: this.server.ca,
        headers: {
          ...(this.cookies.size && { Cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') }),
          ...(body !== undefined && { 'Content-Type': 'application/x-www-form-urlencoded' }),
        },
      }, (response) => {
        let text = '';
        response.on('data', (chunk) => { text += chunk; });
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
      });
      sent.on('error', reject);
      sent.end(body);
    });
    for (const cookie of answer.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      this.cookies.set(name, value);
    }
    this.url = url;
    this.page = answer;
    return answer;
  }

  // press('sign-in', { username, password }) on the page that is open
  press(button, fields = {}) {
    const form = this.page.text.split('<form ').slice(1).reverse().find((text) => text.includes(`value="${button}"`));
    if (!form) throw new Error(`no button "${button}" on: ${this.page.status} ${this.page.text}`);
    const plain = (text) => text.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>')
      .replaceAll('&#39;', "'").replaceAll('&amp;', '&');
    const hidden = Object.fromEntries([...form.matchAll(/type="hidden" name="([^"]*)" value="([^"]*)"/g)]
      .map(([, name, value]) => [plain(name), plain(value)]));
    const action = plain(/action="([^"]*)"/.exec(form)[1]);
    return this.open(new URL(action, this.url).href, { do: button, ...hidden, ...fields });
  }
}
