import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeRecord, encodeRecord } from '../../src/domain/key-record.ts';
import { decodeVersionId, encodeVersionId } from '../../src/domain/version-id.ts';
import { FUZZ_TIMEOUT_MS, inputs, mutated, mutatedText } from '../support/fuzz.ts';
import { keyVersion, versionRecord } from '../support/key-version.ts';

const stamp = { revision: 7, nonce: '0123456789abcdef' };

const RECORDS = [
  encodeRecord({ record: versionRecord(), stamp }),
  encodeRecord({
    record: {
      ...{ kind: 'settings', key: 'webhooks', id: keyVersion().id, version: 1 },
      settings: { rotationPeriodMs: 86_400_000, destroyable: false },
    },
    stamp,
  }),
];

test('any text on the token is a record or none', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(mutatedText(fc.constantFrom(...RECORDS)), (text) => {
      const read = decodeRecord('webhooks', text);

      if (read) expect(decodeRecord('webhooks', encodeRecord(read))).toEqual(read);
    }),
    {
      ...inputs(1_000),
      examples: [...RECORDS, '['.repeat(100_000)].map((text): [string] => [text]),
    },
  );
});

test('any bytes are the id of a version or none', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const id = encodeVersionId({
    ...{ createTimeMs: Date.UTC(2026, 0, 1), version: 3, tag: Buffer.alloc(6, 1) },
  });
  fc.assert(
    fc.property(mutated(fc.constant(id)), (bytes) => {
      const read = decodeVersionId(bytes);

      if (read) expect(Buffer.from(encodeVersionId(read)).equals(bytes)).toBe(true);
    }),
    inputs(1_000),
  );
});
