import { describe, expect, test } from 'vitest';
import type { KeyDocument } from '../../src/admin/key-documents.ts';
import { differenceOf, stepText } from '../../src/admin/provisioning.ts';
import type { PlannedKey } from '../../src/config/plan.ts';

const DAY_MS = 86_400_000;

function planned(wanted: Partial<PlannedKey> = {}): PlannedKey {
  return {
    name: 'webhooks',
    algorithm: 'HMAC_SHA256',
    rotationPeriodMs: undefined,
    destroyable: undefined,
    ...wanted,
  };
}

function existing(wanted: Partial<KeyDocument> = {}, state = 'ACTIVE'): KeyDocument {
  return {
    name: 'webhooks',
    algorithm: 'HMAC_SHA256',
    primaryVersion: 1,
    rotationPeriodMs: undefined,
    nextRotationTime: undefined,
    destroyable: true,
    versions: [{ state } as KeyDocument['versions'][number]],
    ...wanted,
  };
}

function textsOf(plan: PlannedKey, key?: KeyDocument) {
  const { steps, impossible } = differenceOf([plan], key ? [key] : []);
  return { steps: steps.map(stepText), impossible };
}

describe('a key that is not there', () => {
  test.each([
    [planned(), 'create webhooks: algorithm HMAC_SHA256'],
    [
      planned({ rotationPeriodMs: 90 * DAY_MS }),
      'create webhooks: algorithm HMAC_SHA256, rotationPeriod 90d',
    ],
    [planned({ rotationPeriodMs: 0, destroyable: true }), 'create webhooks: algorithm HMAC_SHA256'],
    [planned({ destroyable: false }), 'create webhooks: algorithm HMAC_SHA256, destroyable false'],
  ])('is created with what the plan says', (plan, step) => {
    expect(textsOf(plan)).toEqual({ steps: [step], impossible: [] });
  });
});

describe('a key that is there', () => {
  test.each([
    [planned(), existing()],
    [planned(), existing({ rotationPeriodMs: DAY_MS, destroyable: false })],
    [planned({ rotationPeriodMs: 0 }), existing()],
    [planned({ rotationPeriodMs: DAY_MS }), existing({ rotationPeriodMs: DAY_MS })],
    [planned({ destroyable: false }), existing({ destroyable: false })],
  ])('as the plan wants it, or leaves it, stays as it is', (plan, key) => {
    expect(textsOf(plan, key)).toEqual({ steps: [], impossible: [] });
  });

  test.each([
    [DAY_MS, undefined, 'none -> 1d'],
    [DAY_MS, 90 * DAY_MS, '90d -> 1d'],
    [0, 90 * DAY_MS, '90d -> none'],
  ])('gets another rotation period', (rotationPeriodMs, before, change) => {
    const found = textsOf(planned({ rotationPeriodMs }), existing({ rotationPeriodMs: before }));

    expect(found).toEqual({
      steps: [`update webhooks: rotationPeriod ${change}`],
      impossible: [],
    });
  });

  test.each([
    [
      planned({ algorithm: 'HMAC_SHA512' }),
      existing(),
      'its algorithm is HMAC_SHA256 and cannot become HMAC_SHA512',
    ],
    [
      planned({ destroyable: false }),
      existing(),
      'it is destroyable and cannot be made indestructible',
    ],
    [
      planned({ destroyable: true }),
      existing({ destroyable: false }),
      'it is not destroyable and cannot be made destroyable',
    ],
    [
      planned({ rotationPeriodMs: DAY_MS }),
      existing({}, 'DESTROYED'),
      'every version of it is DESTROYED; key create --reuse-name takes the name again',
    ],
  ])('cannot be changed in every way', (plan, key, why) => {
    expect(textsOf(plan, key)).toEqual({ steps: [], impossible: [`webhooks: ${why}`] });
  });
});

test('keys that the plan does not name are none of its business', () => {
  expect(differenceOf([], [existing()])).toEqual({ steps: [], impossible: [] });
});

test('steps come in the order of the plan', () => {
  const plan = ['b', 'a', 'c'].map((name) => planned({ name }));

  const { steps } = differenceOf(plan, [existing({ name: 'a' })]);

  expect(steps.map(({ key }) => key.name)).toEqual(['b', 'c']);
});
