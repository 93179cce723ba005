import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ConfigError } from '../../src/config/config-error.ts';
import { loadPlan } from '../../src/config/plan.ts';

function planFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sigild-plan-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'plan.yaml');
  writeFileSync(file, text);
  return file;
}

/** Each with `FILE` in the place of the file's path. */
function problemsOf(text: string): readonly string[] {
  const file = planFile(text);
  try {
    loadPlan(file);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.messages.map((message) => message.replace(file, 'FILE'));
  }
}

test('a plan says what keys there shall be, in its order', () => {
  const file = planFile(`
keys:
  webhooks:
    algorithm: HMAC_SHA256
    rotationPeriod: 90d
    destroyable: false
  "007":
    algorithm: EC_SIGN_ED25519
    rotationPeriod: none
  plain: { algorithm: HMAC_SHA512 }
`);

  expect(loadPlan(file)).toEqual([
    {
      name: 'webhooks',
      algorithm: 'HMAC_SHA256',
      rotationPeriodMs: 90 * 86_400_000,
      destroyable: false,
    },
    { name: '007', algorithm: 'EC_SIGN_ED25519', rotationPeriodMs: 0, destroyable: undefined },
    {
      name: 'plain',
      algorithm: 'HMAC_SHA512',
      rotationPeriodMs: undefined,
      destroyable: undefined,
    },
  ]);
});

test('a plan may be empty', () => {
  expect(loadPlan(planFile('keys: {}\n'))).toEqual([]);
});

const KEY_NAME = 'a key name: 1 to 63 characters of [A-Za-z0-9._-], the first a letter or a digit';

test.each([
  ['no text', '', 'FILE:1:1: plan: must be a map of keys'],
  [
    'no keys',
    '{}',
    'FILE:1:1: keys: is missing: must be a map of key names and what each key shall be',
  ],
  ['a list', 'keys: []', 'FILE:1:7: keys: must be a map of key names and what each key shall be'],
  [
    'an unknown field',
    'keys:\n  a: { algorithm: HMAC_SHA256, colour: red }',
    'FILE:2:32: keys.a.colour: unknown key; allowed here: algorithm, rotationPeriod, destroyable',
  ],
  [
    'a name twice',
    'keys:\n  a: { algorithm: HMAC_SHA256 }\n  a: { algorithm: HMAC_SHA256 }',
    'FILE:3:3: YAML: Map keys must be unique',
  ],
  [
    'a name that no key has',
    'keys:\n  a b: { algorithm: HMAC_SHA256 }',
    `FILE:2:8: keys["a b"]: must be ${KEY_NAME}`,
  ],
  [
    'a name that hides in objects',
    'keys:\n  __proto__: { algorithm: HMAC_SHA256 }',
    'FILE:2:3: YAML: a key cannot have this name',
  ],
  [
    'a period without a unit',
    'keys:\n  a: { algorithm: HMAC_SHA256, rotationPeriod: 90 }',
    'FILE:2:48: keys.a.rotationPeriod: must be a number and its unit, such as 90d or 12h, or none',
  ],
])('a plan with %s is told of where it stands', (_, text, problem) => {
  expect(problemsOf(text)).toEqual([problem]);
});

test('a plan tells of every problem at once', () => {
  const problems = problemsOf('keys:\n  a: { algorithm: MD5, destroyable: 1 }\n  b:\n');

  expect(problems).toEqual([
    expect.stringMatching(/^FILE:2:19: keys\.a\.algorithm: must be one of HMAC_SHA1, /),
    'FILE:2:37: keys.a.destroyable: must be true or false',
    'FILE:3:5: keys.b: must be a map of algorithm, rotationPeriod, destroyable',
  ]);
});

test('a plan that is not there is told of', () => {
  expect(() => loadPlan('/nowhere/plan.yaml')).toThrow(/^\/nowhere\/plan.yaml: cannot be read: /);
});
