import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, type TestClient } from '../support/client.ts';
import { baseConfig, type Daemon, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import rfc4231 from '../vectors/rfc4231.json' with { type: 'json' };

const ALGORITHMS = ['HMAC_SHA224', 'HMAC_SHA256', 'HMAC_SHA384', 'HMAC_SHA512'] as const;
const DIGESTS = {
  HMAC_SHA224: 'sha224',
  HMAC_SHA256: 'sha256',
  HMAC_SHA384: 'sha384',
  HMAC_SHA512: 'sha512',
} as const;

/** SoftHSM refuses keys shorter than the digest; HMAC itself pads keys with zeros to its block. */
const LONGEST_DIGEST_BYTES = 64;

const RANDOM_KEY = randomBytes(64);

let softHsm: SoftHsm;
let daemon: Daemon;
let client: TestClient;

function padded(key: Buffer): Buffer {
  const missing = Math.max(0, LONGEST_DIGEST_BYTES - key.byteLength);
  return Buffer.concat([key, Buffer.alloc(missing)]);
}

function nameOf(algorithm: string, suffix: string | number): string {
  return `${algorithm}.${suffix}`;
}

beforeAll(async () => {
  softHsm = createSoftHsm();
  for (const algorithm of ALGORITHMS) {
    softHsm.writeKey({ label: nameOf(algorithm, 'random'), value: RANDOM_KEY });
    for (const { case: number, key } of rfc4231.cases) {
      softHsm.writeKey({
        label: nameOf(algorithm, number),
        value: padded(Buffer.from(key, 'hex')),
      });
    }
  }
  const adopt = ALGORITHMS.map((algorithm) => ({ label: `${algorithm}.*`, algorithm }));
  const { token } = baseConfig(softHsm);
  daemon = await startDaemon(softHsm, { config: { token: { ...(token as object), adopt } } });
  client = connectClient(daemon.addresses[0] as string);
});

afterAll(async () => {
  client?.close();
  await daemon?.stop();
  softHsm?.remove();
});

describe.each(ALGORITHMS)('%s', (algorithm) => {
  test.each(rfc4231.cases)('answers case $case of RFC 4231', async (vector) => {
    const data = Buffer.from(vector.data, 'hex');

    const { signature } = await client.sign({ key: nameOf(algorithm, vector.case), data });

    const expected = vector.macs[algorithm];
    expect(signature?.toString('hex').slice(0, expected.length)).toBe(expected);
  });

  test('agrees with openssl on random data', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5_000 }), async (bytes) => {
        const data = Buffer.from(bytes);
        const key = nameOf(algorithm, 'random');

        const { signature } = await client.sign({ key, data });

        expect(signature?.toString('hex')).toBe(opensslHmac(DIGESTS[algorithm], data));
        expect(await client.verify({ key, data, signature: signature as Buffer })).toMatchObject({
          valid: true,
        });
      }),
      { numRuns: 25 },
    );
  });
});

function opensslHmac(digest: string, data: Buffer): string {
  const args = [
    'dgst',
    `-${digest}`,
    '-mac',
    'HMAC',
    '-macopt',
    `hexkey:${RANDOM_KEY.toString('hex')}`,
  ];
  const output = execFileSync('openssl', args, { input: data, encoding: 'utf8' });
  return output.trim().split(/\s+/).at(-1) as string;
}
