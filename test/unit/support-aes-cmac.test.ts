import { expect, test } from 'vitest';
import { aesCmac } from '../support/aes-cmac.ts';
import vectors from '../vectors/aes-cmac.json' with { type: 'json' };

test.each(vectors.cases)('$algorithm of $bytes bytes is the known answer', (vector) => {
  const key = Buffer.from(vectors.keys[vector.algorithm as keyof typeof vectors.keys], 'hex');
  const data = Buffer.from(vectors.data, 'hex').subarray(0, vector.bytes);

  expect(aesCmac(key, data).toString('hex')).toBe(vector.mac);
});
