// The peers on the policy set that bench_access wrote: cedar-wasm and casbin, each in the form that suits it.
// usage: node peers.mjs FILE QUESTIONS
// Both get roles as sets of actions, already expanded, and entities of the question alone, as a service in front of
// them would load them. Prints one JSON object; fails when an answer differs.
import * as cedar from '@cedar-policy/cedar-wasm/nodejs';
import { newEnforcer, newModelFromString } from 'casbin';
import { readFileSync } from 'node:fs';

const [file, count] = process.argv.slice(2);
const set = JSON.parse(readFileSync(file, 'utf8'));
const questions = set.questions.slice(0, Number(count));

const groupsOf = new Map();
for (const [member, group] of set.memberships) groupsOf.set(member, [...(groupsOf.get(member) ?? []), group]);
const rolesOf = new Map();
for (const [role, actions] of Object.entries(set.roles)) {
  for (const action of actions) rolesOf.set(action, [...(rolesOf.get(action) ?? []), role]);
}
// Nearest first: a resource, its group, its subscription.
const scopesOf = (scope) => {
  const parts = scope.split('/');
  return [9, 5, 3].filter((length) => length <= parts.length).map((length) => parts.slice(0, length).join('/'));
};

function measure(ask) {
  const times = questions.map(([principal, action, scope, expected]) => {
    const begin = process.hrtime.bigint();
    const allowed = ask(principal, action, scope);
    const nanoseconds = Number(process.hrtime.bigint() - begin);
    if (allowed !== expected) throw new Error(`${principal} ${action} ${scope}: ${allowed} instead of ${expected}`);
    return nanoseconds;
  }).sort((a, b) => a - b);
  const at = (part) => times[Math.floor(part * (times.length - 1))];
  return { p50: at(0.5), p99: at(0.99), mean: times.reduce((sum, time) => sum + time, 0) / times.length };
}

function cedarPeer() {
  const uid = (type, id) => ({ type, id });
  const policies = set.assignments.map(([principal, role, scope]) =>
    `permit(principal in P::"${principal}", action in Action::"${role}", resource in S::"${scope}");`);
  const parsed = cedar.preparsePolicySet('set', { staticPolicies: policies.join('\n') });
  if (parsed.type !== 'success') throw new Error(JSON.stringify(parsed));
  const entitiesOf = (principal, action, scope) => {
    const entities = [];
    const seen = new Set();
    const add = (id) => {
      if (seen.has(id)) return;
      seen.add(id);
      const parents = groupsOf.get(id) ?? [];
      entities.push({ uid: uid('P', id), attrs: {}, parents: parents.map((group) => uid('P', group)) });
      parents.forEach(add);
    };
    add(principal);
    entities.push({ uid: uid('Action', action), attrs: {}, parents: (rolesOf.get(action) ?? []).map((role) => uid('Action', role)) });
    const scopes = scopesOf(scope);
    scopes.forEach((one, i) => entities.push({ uid: uid('S', one), attrs: {}, parents: scopes.slice(i + 1, i + 2).map((outer) => uid('S', outer)) }));
    return entities;
  };
  const ask = (principal, action, scope) => {
    const answer = cedar.statefulIsAuthorized({
      principal: uid('P', principal), action: uid('Action', action), resource: uid('S', scope), context: {},
      preparsedPolicySetId: 'set', validateRequest: false, entities: entitiesOf(principal, action, scope),
    });
    if (answer.type !== 'success') throw new Error(JSON.stringify(answer));
    return answer.response.decision === 'allow';
  };
  ask(...questions[0]);
  return measure(ask);
}

async function casbinPeer() {
  const enforcer = await newEnforcer(newModelFromString(`
[request_definition]
r = sub, act, obj
[policy_definition]
p = sub, role, obj
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = scopeHolds(p.obj, r.obj) && roleAllows(p.role, r.act) && g(r.sub, p.sub)`));
  const actionsOf = new Map(Object.entries(set.roles).map(([role, actions]) => [role, new Set(actions)]));
  await enforcer.addFunction('scopeHolds', (outer, inner) => inner === outer || inner.startsWith(`${outer}/`));
  await enforcer.addFunction('roleAllows', (role, action) => actionsOf.get(role).has(action));
  // Two equal rules are one to casbin, and a batch with two is refused.
  const unique = new Map(set.assignments.map((rule) => [rule.join(' '), rule]));
  await enforcer.addPolicies([...unique.values()]);
  const memberships = new Map(set.memberships.map((rule) => [rule.join(' '), rule]));
  await enforcer.addGroupingPolicies([...memberships.values()]);
  enforcer.enforceSync(...questions[0].slice(0, 3));
  return measure((principal, action, scope) => enforcer.enforceSync(principal, action, scope));
}

console.log(JSON.stringify({ questions: questions.length, cedar: cedarPeer(), casbin: await casbinPeer() }));
