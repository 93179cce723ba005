import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CommandFailure } from '../../src/admin/command-failure.ts';
import { parseAddress } from '../../src/admin/daemon-address.ts';
import { decodeBase64 } from '../../src/admin/data-input.ts';
import { parseSecret, SECRET_FORMATS } from '../../src/admin/secret-format.ts';
import { importSecret } from '../../src/client/secret-import.ts';
import { ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { corpus, FUZZ_TIMEOUT_MS, inputs, mutated, mutatedText } from '../support/fuzz.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const PEM = privateKey.export({ format: 'pem', type: 'pkcs8' });
const DER = privateKey.export({ format: 'der', type: 'pkcs8' });

const written = mutated(
  fc.constantFrom(
    ...[PEM, '6b6579\n', 'a2V5\r\n', 'a key', ''].map((text) => Buffer.from(text)),
    ...[DER, ...corpus('public-keys').map(({ bytes }) => bytes)],
  ),
);

test('any bytes are a secret of a format or not', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(written, fc.constantFrom(...SECRET_FORMATS), (bytes, format) => {
      const before = Buffer.from(bytes);
      const secret = parseSecret(bytes, format);

      if (format === 'raw') expect(secret?.equals(before)).toBe(true);
      expect(bytes.equals(before)).toBe(true);
    }),
    inputs(500),
  );
});

test('any secret is offered to the daemon or refused', { timeout: FUZZ_TIMEOUT_MS }, async () => {
  const asked = new Error('the daemon was asked');
  const calls = {
    getImportKey: () => Promise.reject(asked),
    importKey: () => Promise.reject(asked),
  };
  await fc.assert(
    fc.asyncProperty(written, fc.constantFrom(...ALGORITHM_NAMES), async (secret, algorithm) => {
      const error = await importSecret(calls, algorithm, secret).catch((reason: unknown) => reason);

      if (error !== asked) expect(error).toBeInstanceOf(RangeError);
    }),
    inputs(300),
  );
});

test('any text is an address or refused', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const text = mutatedText(
    fc.constantFrom('unix:/run/sigild.sock', 'localhost:7400', '[::1]:7400'),
  );
  fc.assert(
    fc.property(text, (address) => {
      try {
        expect(parseAddress(address).target).not.toBe('');
      } catch (error) {
        expect(error).toBeInstanceOf(CommandFailure);
      }
    }),
    inputs(500),
  );
});

test('base64 is read as it is written, or not at all', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(mutatedText(fc.base64String()), (text) => {
      const bytes = decodeBase64(text);

      if (bytes) expect(bytes.toString('base64')).toBe(text);
    }),
    inputs(500),
  );
});
