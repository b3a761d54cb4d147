// The machines that the bastion serves, and the way to one.
import { alert, ask, element } from './dom.js';

export async function showMachines({ show, isLeft }) {
  let machines;
  try {
    ({ value: machines } = await ask('/web/machines'));
  } catch (error) {
    if (error.status === 401) throw error;
    show(element('h1', {}, 'Machines'), alert(error.message));
    return;
  }
  if (machines.length === 0) {
    show(element('h1', {}, 'Machines'),
      element('p', {}, 'There is no machine behind this bastion that you may reach. Reading a machine and its network '
        + 'interface takes the role Reader on them.'));
    return;
  }
  const machine = element('select', { name: 'machine' },
    ...machines.map(({ id, name, system }) => element('option', { value: id }, system ? `${name} (${system})` : name)));
  const login = element('input', { name: 'login', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false',
    required: true, size: 16 });
  const port = element('input', { name: 'port', inputmode: 'numeric', value: '22', size: 5 });
  const why = element('input', { name: 'justification', size: 24 });
  const connect = () => {
    const parameters = { machine: machine.value, login: login.value.trim(), port: port.value.trim() };
    if (!parameters.login) return login.focus();
    if (why.value.trim()) parameters.justification = why.value.trim();
    location.hash = `#/terminal?${new URLSearchParams(parameters)}`;
    return undefined;
  };
  const enter = (event) => { if (event.key === 'Enter') connect(); };
  show(element('h1', {}, 'Machines'),
    element('div', { class: 'row', onkeydown: enter },
      element('label', {}, 'Machine', machine), element('label', {}, 'Login', login),
      element('label', {}, 'Port', port), element('label', {}, 'Reason, if one is asked for', why),
      element('button', { type: 'button', class: 'go', id: 'connect', onclick: connect }, 'Connect')));
  if (!isLeft()) login.focus();
}
