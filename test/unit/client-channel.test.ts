import { expect, test } from 'vitest';
import { connect } from '../../src/client/client.ts';

test.each(['unix:/run/sigild.sock', 'localhost:7400', '127.0.0.1:7400', '[::1]:7400'])(
  'speaks to %s without TLS',
  async (address) => {
    const client = connect({ address });

    await client.close();
  },
);

test.each(['sigild.example.com:7400', '192.0.2.1:7400', '127.example.com:7400', '[2001:db8::1]:1'])(
  'does not speak to %s without TLS',
  (address) => {
    expect(() => connect({ address })).toThrow(/without tls/);
  },
);

test.each([
  '',
  'unix:',
  'localhost',
  'localhost:0',
  'localhost:65536',
  '[nonsense]:1',
  'http://a:1',
])('refuses "%s" as an address', (address) => {
  expect(() => connect({ address })).toThrow(TypeError);
});

test.each([
  ['empty texts', { ca: '', cert: '', key: '' }],
  ['texts that are no PEM', { ca: 'a', cert: 'b', key: 'c' }],
])('refuses %s for TLS, without repeating them', (_, tls) => {
  expect(() => connect({ address: 'localhost:7400', tls })).toThrow(/^tls: ca, cert and key/);
});

test('refuses numbers that are out of their bounds', () => {
  const address = 'localhost:7400';

  expect(() => connect({ address, deadlineMs: 0 })).toThrow(RangeError);
  expect(() => connect({ address, maxOpenCalls: 0 })).toThrow(RangeError);
});
