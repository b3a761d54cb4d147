// Who is here, and which page they want: the part after the # says it.
import { alert, ask, element, show } from './dom.js';
import { isLinkOver, linkOver, showLink } from './link.js';
import { showMachines } from './machines.js';
import { showRecording, showRecordings } from './recordings.js';
import { showTerminal } from './terminal.js';

const PLACE = 'merlon-place'; // where somebody was before they went to sign in; no secret
let leave = () => {};
let turn = 0; // which page is wanted now
let byLink = false;

function signInPage() {
  document.getElementById('nav').hidden = true;
  document.getElementById('sign-out').hidden = true;
  document.getElementById('who').textContent = '';
  show(element('h1', {}, 'Bastion'), element('p', {}, 'Sign in to reach machines behind this bastion.'),
    element('p', {}, element('a', { class: 'go', id: 'sign-in', href: '/sign-in',
      onclick: () => sessionStorage.setItem(PLACE, location.hash) }, 'Sign in')));
}

// What was wanted before may be answered later: it must not come in place of what is there now.
async function go() {
  leave();
  leave = () => {};
  const mine = ++turn;
  const isLeft = () => mine !== turn;
  const here = { isLeft, show: (...children) => { if (!isLeft()) show(...children); } };
  const [path, query] = (location.hash || '#/').slice(1).split('?');
  const parameters = new URLSearchParams(query ?? '');
  try {
    if (byLink) await goByLink(path, here);
    else if (path === '/terminal') leave = showTerminal(parameters);
    else if (path === '/recordings') await showRecordings(here);
    else if (path.startsWith('/recordings/')) {
      const leaveIt = await showRecording(path.split('/')[2], parameters, here);
      if (isLeft()) leaveIt();
      else leave = leaveIt;
    } else await showMachines(here);
  } catch (error) {
    if (isLeft()) return;
    if (error.status === 401 && error.code === 'SignInNeeded') signInPage();
    else if (isLinkOver(error)) linkOver(error);
    else show(alert(error.message));
  }
}

// What the link still gives is asked anew each time: a WebSocket that does not come about says nothing.
async function goByLink(path, here) {
  const link = await ask('/web/session');
  if (here.isLeft()) return undefined;
  if (!link.link) return location.reload();
  if (path !== '/terminal' || link.missing || !link.login) return showLink(link);
  leave = showTerminal(new URLSearchParams({ machine: link.machineId, login: link.login, port: link.port }), 'Back to the link');
  return undefined;
}

async function start() {
  let session;
  try {
    session = await ask('/web/session');
  } catch (error) {
    if (error.status === 401) return signInPage();
    if (isLinkOver(error)) return linkOver(error);
    return show(alert(error.message));
  }
  const place = sessionStorage.getItem(PLACE);
  sessionStorage.removeItem(PLACE);
  if (place && place.startsWith('#/')) history.replaceState(null, '', `/${place}`);
  document.getElementById('where').textContent = session.bastion;
  document.getElementById('who').textContent = session.name;
  byLink = session.link;
  document.getElementById('nav').hidden = byLink;
  const out = document.getElementById('sign-out');
  out.hidden = !session.name;
  out.addEventListener('click', async () => {
    ++turn;
    leave();
    leave = () => {};
    await ask('/web/sign-out', {});
    if (byLink) location.assign('/');
    else signInPage();
  });
  addEventListener('hashchange', go);
  return go();
}

start();
