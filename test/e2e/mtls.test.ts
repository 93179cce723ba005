import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ChannelCredentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Authority, createAuthority, type KeyPair } from '../support/certificates.ts';
import { connectClient, failureOf, type TestClient } from '../support/client.ts';
import { type Daemon, runDaemonToEnd, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const URI = 'spiffe://example.org/billing';
const DNS = 'billing.example.org';
const COMMON_NAME = 'billing';
/** Of the names of the keys that each may make. */
const PREFIXES = ['uri', 'dns', 'cn'];

/** One listener for each test that looks at refusals: the log has one line of each in ten seconds. */
const HOSTS = Array.from({ length: 8 }, (_, index) => `127.0.0.${index + 1}`);
const QUIET_MS = 10_000;

/** The first key costs the start of a token host. */
const DEADLINE_MS = 15_000;

let softHsm: SoftHsm;
let ca: Authority;
let server: KeyPair;
let daemon: Daemon;
/** Addresses that no other test has seen a refusal of. */
let fresh: string[];

beforeAll(async () => {
  softHsm = createSoftHsm();
  ca = createAuthority(softHsm.directory);
  server = ca.issue('server', {
    subject: '/CN=sigild',
    names: HOSTS.map((host) => `IP:${host}`).join(),
    usage: 'serverAuth',
  });
  daemon = await startDaemon(softHsm, {
    config: {
      listeners: HOSTS.map((host) => ({
        tcp: `${host}:0`,
        tls: { ...server, clientCa: ca.certificate },
      })),
      clients: [
        { name: URI, grants: [{ keys: ['uri-*'], operations: ['createKey'] }] },
        { name: DNS, grants: [{ keys: ['dns-*'], operations: ['createKey'] }] },
        { name: COMMON_NAME, grants: [{ keys: ['cn-*'], operations: ['createKey'] }] },
      ],
    },
  });
  fresh = [...daemon.addresses];
});

afterAll(async () => {
  await daemon?.stop();
  softHsm?.remove();
});

function connect(address: string, pair?: KeyPair, options: SecureContextOptions = {}): TestClient {
  const context = createSecureContext({
    ca: readFileSync(ca.certificate),
    ...(pair && { cert: readFileSync(pair.certificate), key: readFileSync(pair.key) }),
    ...options,
  });
  const channel = ChannelCredentials.createFromSecureContext(context);
  const client = connectClient(address, channel, DEADLINE_MS);
  onTestFinished(() => client.close());
  return client;
}

function refusals(listener: string) {
  return daemon.logLines.filter(
    (line) => line.msg === 'a connection was refused' && line['listener'] === listener,
  );
}

describe('a client with a right certificate', () => {
  test.each([
    ['its URI', 'uri', URI, `DNS:${DNS},URI:${URI}`],
    ['its DNS name, where it has no URI', 'dns', DNS, `DNS:${DNS}`],
    ['its common name, where it has no other', 'cn', COMMON_NAME, undefined],
  ])('is the one that the policy knows by %s', async (_, prefix, identity, names) => {
    const pair = ca.issue(prefix, {
      subject: `/CN=${COMMON_NAME}`,
      usage: 'clientAuth',
      ...(names && { names }),
    });
    const client = connect(daemon.addresses[0] as string, pair);

    await client.createKey({ key: `${prefix}-key`, algorithm: 'HMAC_SHA256' });

    for (const other of PREFIXES.filter((candidate) => candidate !== prefix)) {
      const call = client.createKey({ key: `${other}-key`, algorithm: 'HMAC_SHA256' });
      expect(await failureOf(call)).toMatchObject({ reason: 'PERMISSION_DENIED' });
    }
    await until(() => daemon.logLines.some((line) => line['client'] === identity));
  });

  test('is nobody when the configuration does not know its name', async () => {
    const pair = ca.issue('stranger', { subject: '/CN=stranger', usage: 'clientAuth' });
    const client = connect(daemon.addresses[0] as string, pair);

    const call = client.sign({ key: 'cn-key', data: Buffer.from('x') });

    expect(await failureOf(call)).toMatchObject({ reason: 'KEY_NOT_FOUND' });
  });
});

describe('a connection is refused, and the log says why, when the client', () => {
  const right = () => ca.issue('right', { subject: `/CN=${COMMON_NAME}`, usage: 'clientAuth' });
  const cases: [what: string, open: (address: string) => TestClient, reason: RegExp][] = [
    [
      'has a certificate of another authority',
      (address) => {
        const other = createAuthority(softHsm.directory, 'other-ca');
        return connect(
          address,
          other.issue('imposter', { subject: `/CN=${COMMON_NAME}`, usage: 'clientAuth' }),
        );
      },
      /UNABLE_TO_/,
    ],
    ['has none', (address) => connect(address), /CERTIFICATE/],
    [
      'has one that has expired',
      (address) =>
        connect(
          address,
          ca.issue('expired', {
            subject: `/CN=${COMMON_NAME}`,
            usage: 'clientAuth',
            expired: true,
          }),
        ),
      /CERT_HAS_EXPIRED/,
    ],
    ['has one for servers', (address) => connect(address, server), /INVALID_PURPOSE/],
    [
      'speaks TLS 1.2',
      (address) => connect(address, right(), { maxVersion: 'TLSv1.2' }),
      /UNSUPPORTED_PROTOCOL/,
    ],
    [
      'speaks no TLS',
      (address) => {
        const client = connectClient(address);
        onTestFinished(() => client.close());
        return client;
      },
      /ERR_SSL|TLS/,
    ],
  ];

  test.each(cases)('%s', async (_, open, reason) => {
    const address = fresh.pop() as string;

    const failure = await failureOf(open(address).listKeys({}));

    expect(failure).toMatchObject({ code: status.UNAVAILABLE, reason: undefined });
    await until(() => refusals(address).length > 0);
    expect(refusals(address)[0]).toMatchObject({
      level: 'info',
      reason: expect.stringMatching(reason),
    });
  });
});

test('refusals do not flood the log', async () => {
  const address = fresh.pop() as string;
  const attempts = 25;
  const startedAtMs = Date.now();

  for (let attempt = 0; attempt < attempts; attempt++) {
    await failureOf(connect(address).listKeys({}));
  }

  const mostLines = 1 + Math.floor((Date.now() - startedAtMs) / QUIET_MS);
  await until(() => refusals(address).length > 0);
  expect(refusals(address).length).toBeLessThanOrEqual(mostLines);
});

test('plaintext beyond loopback is refused by the configuration', async () => {
  const { exit, stderr } = await runDaemonToEnd(softHsm, {
    config: { listeners: [{ tcp: '0.0.0.0:0', plaintext: true, client: 'test' }] },
  });

  expect(exit).toBe(78);
  expect(stderr).toMatch(
    /config\.yaml:\d+:\d+: listeners\[0\]\.tcp: plaintext is for loopback addresses/,
  );
});

test('a daemon whose certificate does not belong to its key does not start', async () => {
  const files = { ...server, key: ca.key, clientCa: ca.certificate };

  const { exit, stderr } = await runDaemonToEnd(softHsm, {
    config: { listeners: [{ tcp: '127.0.0.1:0', tls: files }] },
  });

  expect(exit).toBe(78);
  expect(stderr).toContain(join(softHsm.directory, 'ca.key'));
});
