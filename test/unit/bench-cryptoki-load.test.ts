import { expect, test } from 'vitest';
import { cryptokiLoads, parseCryptokiLoad } from '../../scripts/bench/cryptoki-load.ts';
import { parseServerAddress } from '../../scripts/bench/p11-kit.ts';

const WORK = {
  token: { label: 'bench', pin: '1234' },
  message: { key: 'bench', data: Uint8Array.of(1), mac: Uint8Array.of(2) },
  context: { seconds: 1, signal: new AbortController().signal },
};

const KIND = {
  name: 'c-token-object',
  module: { file: '/module.so', environment: {} },
  keyObject: 'token',
} as const;

test('a C program is measured with several numbers of threads, which are ways of one thing', () => {
  const loads = cryptokiLoads(KIND, WORK);

  expect(loads.map(({ name, wayOf }) => ({ name, wayOf }))).toEqual([
    { name: 'c-token-object 1 thread', wayOf: 'c-token-object' },
    { name: 'c-token-object 4 threads', wayOf: 'c-token-object' },
    { name: 'c-token-object 16 threads', wayOf: 'c-token-object' },
  ]);
});

test('several kinds may be ways of one thing', () => {
  const loads = cryptokiLoads({ ...KIND, wayOf: 'p11-kit' }, WORK);

  expect(new Set(loads.map(({ wayOf }) => wayOf))).toEqual(new Set(['p11-kit']));
});

test('reads the figures that the C program prints', () => {
  const output = '{"operations": 90000, "seconds": 2.000000}\n';

  expect(parseCryptokiLoad(output)).toEqual({ opsPerSecond: 45_000 });
});

test.each([[''], ['{}'], ['{"operations": 0, "seconds": 1.0}']])(
  'makes no figures out of %j',
  (output) => {
    expect(() => parseCryptokiLoad(output)).toThrow();
  },
);

test('finds the address in what p11-kit server prints', () => {
  const line =
    'P11_KIT_SERVER_ADDRESS=unix:path=/run/p11-kit/pkcs11-7; export P11_KIT_SERVER_ADDRESS;';

  expect(parseServerAddress(line)).toBe('unix:path=/run/p11-kit/pkcs11-7');
});

test('takes nothing else for the address of a p11-kit server', () => {
  expect(() => parseServerAddress('P11_KIT_SERVER_PID=7; export P11_KIT_SERVER_PID;')).toThrow(
    'does not tell its address',
  );
});
