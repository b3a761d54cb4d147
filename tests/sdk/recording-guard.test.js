// What the pages' player lets through to its terminal (services/terminal/web/guard.js) is what the command line's does
// (recording/terminal_guard.cpp): the same cases, and every way to cut them.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';

const { Guard } = await import(path.join(process.env.MERLON_ROOT, 'src/services/terminal/web/guard.js'));

const CASES = [
  ['plain \u001b[31mred\u001b[0m\r\n', 'plain \u001b[31mred\u001b[0m\r\n'],
  ['\u001b]52;c;cm0gLXJmIC8K\u0007after', 'after'],
  ['\u001b]0;title\u001b\\after', 'after'],
  ['\u001b[6n\u001b[cafter', 'after'],
  ['\u001b]0;\u001b[31mtext\u0007ok', '\u001b[31mtextok'],
  ['\u001b]\u001b[mshown', '\u001b[mshown'],
  ['\u001bPq\u001b[mshown', '\u001b[mshown'],
  ['\u001b]0;a\u001b\u001b\\z', 'z'],
  ['\u001b]0;a\u001b]52;c;YQ==\u0007z', 'z'],
];

test('what hides nothing from one viewer hides nothing from another', () => {
  for (const [shown, wanted] of CASES)
    for (let cut = 0; cut <= shown.length; ++cut) {
      const guard = new Guard();
      assert.equal(guard.pass(shown.slice(0, cut)) + guard.pass(shown.slice(cut)), wanted, JSON.stringify(shown));
    }
});
