// The page of somebody who has a shareable link: one machine, one login, and the way out.
import { alert, ask, element, show } from './dom.js';

const go = (id, href, text) => element('p', {}, element('a', { class: 'go', id, href }, text));

function next({ login, missing }) {
  if (missing) return [element('p', {}, missing === 'mfa'
    ? 'It is for people who have signed in here with a second factor.' : 'It is for people who have signed in here.'),
  go('sign-in', missing === 'mfa' ? '/sign-in?fresh' : '/sign-in', 'Sign in')];
  if (!login) return [alert('This link is for no login, so it opens no terminal. Ask whoever gave it to you for one that names '
    + 'a login.')];
  return [go('connect', '#/terminal', 'Connect')];
}

export function showLink(link) {
  const leave = element('button', { type: 'button', id: 'leave-link', onclick: async () => {
    await ask('/web/leave-link', {});
    location.assign('/');
  } }, 'Leave this link');
  const as = link.login ? ` as ${link.login}` : '';
  show(element('h1', {}, link.machine),
    element('p', {}, `A shareable link of ${link.createdBy} leads here: to ${link.machine}${as}, until `
      + `${new Date(link.expiresAt).toLocaleString()}. Sessions left: ${link.usesLeft}. What is done by it stands on the record as done by their link.`),
    ...next(link), element('p', {}, leave));
}

// The server has forgotten the link's cookie with this answer.
export function isLinkOver({ code }) { return code === 'LinkNotFound' || code === 'LinkNotValid'; }

export function linkOver({ message }) {
  show(alert(message), element('p', {}, element('a', { href: '/' }, 'Go on without it')));
}
