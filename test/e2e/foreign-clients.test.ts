import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAuthority } from '../support/certificates.ts';
import { type Daemon, EVERYTHING, startDaemon } from '../support/daemon.ts';
import {
  bufCurl,
  type Endpoint,
  type ForeignClient,
  pythonClient,
} from '../support/foreign-clients.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const CLIENTS = ['grpcio for Python', 'buf curl'] as const;
const TRANSPORTS = ['a unix socket', 'mutual TLS'] as const;

let softHsm: SoftHsm;
let daemon: Daemon;
let clients: Readonly<Record<(typeof CLIENTS)[number], ForeignClient>>;
let endpoints: Readonly<Record<(typeof TRANSPORTS)[number], Endpoint>>;

beforeAll(async () => {
  softHsm = createSoftHsm();
  const { directory } = softHsm;
  const ca = createAuthority(directory);
  const server = ca.issue('server', {
    subject: '/CN=sigild',
    names: 'IP:127.0.0.1',
    usage: 'serverAuth',
  });
  const client = ca.issue('client', { subject: '/CN=shop', usage: 'clientAuth' });
  daemon = await startDaemon(softHsm, {
    config: {
      listeners: [
        { unix: join(directory, 'sigild.sock'), client: 'test' },
        { tcp: '127.0.0.1:0', tls: { ...server, clientCa: ca.certificate } },
      ],
      clients: ['test', 'shop'].map((name) => ({ name, grants: EVERYTHING })),
    },
  });
  const [socket = '', port = ''] = daemon.addresses;
  endpoints = {
    'a unix socket': { address: socket },
    'mutual TLS': { address: port, tls: { ca: ca.certificate, client } },
  };
  const stubs = join(directory, 'stubs');
  mkdirSync(stubs);
  clients = {
    'grpcio for Python': await pythonClient(stubs),
    'buf curl': bufCurl(join(directory, 'buf')),
  };
});

afterAll(async () => {
  await daemon?.stop();
  softHsm?.remove();
});

describe.each(CLIENTS)('%s', (client) => {
  describe.each(TRANSPORTS)('over %s', (transport) => {
    const call = (method: Parameters<ForeignClient>[1], request?: object) =>
      clients[client](endpoints[transport], method, request);

    test('signs and verifies a message in pieces', async () => {
      const key = `pieces-${randomUUID()}`;
      const pieces = [randomBytes(64), Buffer.alloc(0), randomBytes(1_000)].map((piece) => ({
        data: piece.toString('base64'),
      }));
      await call('CreateKey', { key, algorithm: 'HMAC_SHA256' });

      const signed = await call('SignStream', [{ header: { key } }, ...pieces]);
      const { signature } = signed;
      const right = await call('VerifyStream', [{ header: { key, signature } }, ...pieces]);
      const wrong = await call('VerifyStream', [{ header: { key, signature } }, pieces[0] ?? {}]);
      const refused = await call('SignStream', pieces);

      expect(signed).toMatchObject({ version: 1, algorithm: 'HMAC_SHA256' });
      expect(right).toMatchObject({ valid: true, version: 1 });
      expect(wrong).toEqual({});
      expect(refused).toEqual({ code: status.INVALID_ARGUMENT, reason: 'FIELD_INVALID' });
    });

    test('creates a key, signs, and tells a right MAC from a wrong one', async () => {
      const key = `webhooks-${randomUUID()}`;
      const data = randomBytes(64).toString('base64');

      const created = await call('CreateKey', { key, algorithm: 'HMAC_SHA256' });
      const signed = await call('Sign', { key, data });
      const { signature } = signed;
      const right = await call('Verify', { key, data, signature });
      const wrong = await call('Verify', { key, data, signature: otherMac(String(signature)) });

      expect(created['key']).toMatchObject({
        name: key,
        primaryVersion: 1,
        versions: [{ state: 'ACTIVE', attributes: { extractable: false, neverExtractable: true } }],
      });
      expect(Buffer.from(String(signature), 'base64')).toHaveLength(32);
      expect(signed).toMatchObject({ version: 1, algorithm: 'HMAC_SHA256' });
      expect(right).toMatchObject({ valid: true, version: 1, versionId: signed['versionId'] });
      expect(wrong['valid'] ?? false).toBe(false);
    });

    test('reads the reason of an error', async () => {
      const answer = await call('Sign', { key: 'missing', data: '' });

      expect(answer).toEqual({ code: status.NOT_FOUND, reason: 'KEY_NOT_FOUND' });
    });

    test('reads the health', async () => {
      expect(await call('Check')).toEqual({ status: 'SERVING' });
      expect(await call('Check', { service: 'sigild.v1.SigningService' })).toEqual({
        status: 'SERVING',
      });
    });
  });
});

/** The same MAC, but for one bit. */
function otherMac(mac: string): string {
  const bytes = Buffer.from(mac, 'base64');
  bytes[0] = (bytes[0] as number) ^ 1;
  return bytes.toString('base64');
}
