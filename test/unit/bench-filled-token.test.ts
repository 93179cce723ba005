import { expect, test } from 'vitest';
import { parseKeys } from '../../scripts/bench/filled-token.ts';

test('reads the names of the keys and their MACs', () => {
  const output = '{"name":"key-0","mac":"00ff"}\n{"name":"key-1","mac":"abcd"}\n';

  expect(parseKeys(output)).toEqual([
    { name: 'key-0', mac: Buffer.from('00ff', 'hex') },
    { name: 'key-1', mac: Buffer.from('abcd', 'hex') },
  ]);
});
