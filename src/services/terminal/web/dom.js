// Elements made by hand: text is only ever text, so nothing that a machine, a file name or a recording says becomes
// part of the page.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export function show(...children) {
  document.getElementById('main').replaceChildren(...children);
}

export function alert(text) {
  return element('p', { class: 'alert', role: 'alert' }, text);
}

// A request to the page's own server; refusals become errors with "code" and "message".
export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  };
  const answer = await fetch(path, { credentials: 'same-origin', cache: 'no-store', redirect: 'error', ...options });
  const text = await answer.text();
  let json = {};
  try { json = text ? JSON.parse(text) : {}; } catch { /* not ours; the status says enough */ }
  if (answer.ok) return json;
  const said = json.error ?? json;
  throw Object.assign(new Error(said.message ?? `The server answers ${answer.status}.`),
    { code: said.code ?? String(answer.status), status: answer.status });
}
