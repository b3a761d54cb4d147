// One table out of what the two sides measured.
import { readFileSync } from 'node:fs';

const [ours, peers] = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, 'utf8')));
const microseconds = (nanoseconds) => (nanoseconds / 1000).toFixed(nanoseconds < 10_000 ? 2 : 0);
const row = (...cells) => console.log(`| ${cells.join(' | ')} |`);
const line = (name, times) =>
  row(name, microseconds(times.p50), microseconds(times.p99), `${(times.p50 / ours.decision.p50).toFixed(times === ours.decision ? 0 : 1)}`);

console.log(`\n${ours.assignments} assignments, ${ours.roles} roles, ${ours.questions} questions to Merlon `
  + `(${Math.round(100 * ours.allowed / ours.questions)} % allowed), ${peers.questions} to each peer; `
  + `index made in ${ours.indexSeconds.toFixed(2)} s\n`);
row('', 'p50 µs', 'p99 µs', 'p50 ratio');
row('---', '---:', '---:', '---:');
line('Merlon, decision with its reason', ours.decision);
line('Merlon, yes or no', ours.answer);
line('Merlon, with the mark read from SQLite', ours.check);
line('cedar-wasm', peers.cedar);
line('casbin', peers.casbin);
