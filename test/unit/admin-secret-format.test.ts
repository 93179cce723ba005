import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseSecret } from '../../src/admin/secret-format.ts';

describe('a secret', () => {
  test.each([
    ['raw', 'abc\n', 'abc\n'],
    ['raw', '', ''],
    ['text', 'abc', 'abc'],
    ['text', 'abc\n', 'abc'],
    ['text', 'abc\r\n', 'abc'],
    ['text', 'abc\n\n', 'abc\n'],
    ['text', ' a b ', ' a b '],
    ['text', 'grün\n', 'grün'],
    ['text', '\n', ''],
    ['hex', '6162', 'ab'],
    ['hex', '6162\n', 'ab'],
    ['hex', '4A4b\r\n', 'JK'],
    ['hex', '', ''],
    ['base64', 'YWI=', 'ab'],
    ['base64', 'YWI=\n', 'ab'],
  ] as const)('as %s is read from %j', (format, written, secret) => {
    expect(parseSecret(Buffer.from(written), format)?.toString()).toBe(secret);
  });

  test('as pem is a private key of any kind, without a password', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const der = privateKey.export({ format: 'der', type: 'pkcs8' });

    for (const type of ['pkcs8', 'sec1'] as const) {
      const pem = Buffer.from(privateKey.export({ format: 'pem', type }));
      expect(parseSecret(pem, 'pem')).toEqual(der);
    }
    const locked = privateKey.export({
      ...{ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'secret' },
    });
    expect(parseSecret(Buffer.from(locked), 'pem')).toBeUndefined();
  });

  test.each([
    ['pem', 'weing1phojieRaht'],
    ['hex', '616'],
    ['hex', '61 62'],
    ['hex', '0x6162'],
    ['hex', '6162\n\n'],
    ['hex', '616g'],
    ['base64', 'YWI'],
    ['base64', 'YW I='],
    ['base64', 'YWJ='],
    ['base64', 'YWI=\n\n'],
    ['base64', '-_-_'],
  ] as const)('as %s is not read from %j', (format, written) => {
    expect(parseSecret(Buffer.from(written), format)).toBeUndefined();
  });

  test.each(['raw', 'text', 'hex', 'base64'] as const)(
    'as %s stays when the buffer that it was read from is cleared',
    (format) => {
      const written = Buffer.from('61626364');
      const secret = parseSecret(written, format);
      const before = secret?.toString('hex');

      written.fill(0);

      expect(secret?.toString('hex')).toBe(before);
    },
  );
});
