import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { credentials, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ListenerError } from '../../src/rpc/listener-error.ts';
import type { TlsFiles } from '../../src/rpc/tls-credentials.ts';
import {
  type Authority,
  createAuthority,
  createSelfSigned,
  type KeyPair,
} from '../support/certificates.ts';
import { failureOf } from '../support/client.ts';
import { EVERYTHING, type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { eventually } from '../support/wait.ts';

const CLIENT = 'spiffe://example.com/shop';

let folder: string;
let authority: Authority;
let tls: TlsFiles;
let right: KeyPair;
let rpc: RpcFixture;
let address: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-tls-'));
  authority = createAuthority(folder);
  const server = authority.issue('server', {
    subject: '/CN=sigild',
    names: 'DNS:localhost',
    usage: 'serverAuth',
  });
  tls = { ...server, clientCa: authority.certificate };
  right = authority.issue('right', {
    subject: '/CN=x',
    names: `URI:${CLIENT}`,
    usage: 'clientAuth',
  });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(async () => {
  rpc = startRpc({ grants: { [CLIENT]: EVERYTHING } });
  address = await rpc.server.listen({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    identity: { kind: 'certificate', tls },
  });
});

afterEach(() => rpc.close());

function connect(pair?: KeyPair) {
  const ca = readFileSync(authority.certificate);
  const channel = pair
    ? credentials.createSsl(ca, readFileSync(pair.key), readFileSync(pair.certificate))
    : credentials.createSsl(ca);
  return rpc.connect(`localhost:${port()}`, channel);
}

function port(): number {
  return Number(address.split(':')[1]);
}

/** Shakes hands without a gRPC library and waits for the end. */
async function shakeHands(options: ConnectionOptions = {}): Promise<void> {
  const socket = connectTls({
    ...{ host: '127.0.0.1', port: port(), servername: 'localhost' },
    ca: readFileSync(authority.certificate),
    cert: readFileSync(right.certificate),
    key: readFileSync(right.key),
    ALPNProtocols: ['h2'],
    ...options,
  });
  await closed(socket);
}

/** Waits for the end of a connection, whether in error or not. */
function closed(socket: Socket): Promise<void> {
  socket.on('error', () => undefined);
  socket.resume();
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
  });
}

test('a client with the right certificate is who the certificate says', async () => {
  const client = connect(right);

  await client.createKey({ key: 'shop', algorithm: 'HMAC_SHA256' });

  expect(rpc.requests).toMatchObject([
    { client: CLIENT, peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/), outcome: 'OK' },
  ]);
});

test('a client whom the certificate names but nobody grants anything may do nothing', async () => {
  const stranger = authority.issue('stranger', { subject: '/CN=stranger', usage: 'clientAuth' });

  const failure = await failureOf(connect(stranger).listKeys({}));

  expect(failure.reason).toBe('PERMISSION_DENIED');
  expect(rpc.requests).toMatchObject([{ client: 'stranger' }]);
});

describe('a connection is refused', () => {
  test('without a certificate', async () => {
    const failure = await failureOf(connect().listKeys({}));

    expect(failure.code).toBe(status.UNAVAILABLE);
    expect(rpc.requests).toEqual([]);
    expect(rpc.refusals[0]).toMatchObject({
      listener: address,
      reason: 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
    });
  });

  test('with the certificate of another authority', async () => {
    const other = createAuthority(folder, 'other-ca');
    const wrong = other.issue('wrong', { subject: '/CN=test', usage: 'clientAuth' });

    const failure = await failureOf(connect(wrong).listKeys({}));

    expect(failure.code).toBe(status.UNAVAILABLE);
    expect(rpc.requests).toEqual([]);
    expect(rpc.refusals[0]?.reason).toMatch(/UNABLE_TO|SELF_SIGNED/);
  });

  test('with a certificate for servers', async () => {
    const server = { certificate: tls.certificate, key: tls.key };

    const failure = await failureOf(connect(server).listKeys({}));

    expect(failure.code).toBe(status.UNAVAILABLE);
    expect(rpc.refusals[0]?.reason).toBe('INVALID_PURPOSE');
  });

  test('with a certificate that names nobody', async () => {
    const nobody = authority.issue('nobody', { subject: '/O=org', usage: 'clientAuth' });

    const failure = await failureOf(connect(nobody).listKeys({}));

    expect(failure.code).toBe(status.UNAVAILABLE);
    expect(rpc.refusals[0]).toMatchObject({
      reason: 'the certificate names no client',
      peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    });
  });

  test('with TLS 1.2', async () => {
    await shakeHands({ maxVersion: 'TLSv1.2' });

    expect(rpc.refusals[0]?.reason).toBe('ERR_SSL_UNSUPPORTED_PROTOCOL');
  });

  test.each([
    ['without ALPN', []],
    ['for HTTP/1.1', ['http/1.1']],
  ])('%s', async (_, ALPNProtocols) => {
    await shakeHands({ ALPNProtocols });

    expect(rpc.refusals).toHaveLength(1);
  });

  test('without TLS', async () => {
    const socket = connectTcp(port(), '127.0.0.1');

    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await closed(socket);

    expect(rpc.refusals).toHaveLength(1);
  });
});

test('refused connections leave the others alone', async () => {
  const client = connect(right);
  await client.listKeys({});

  for (let count = 0; count < 5; count += 1) await shakeHands({ maxVersion: 'TLSv1.2' });

  await expect(client.listKeys({})).resolves.toBeDefined();
  expect(rpc.refusals).toHaveLength(1);
});

test('a drain cuts what is still open at its limit', async () => {
  rpc.token.writeKey('shop', Buffer.alloc(32));
  const client = connect(right);
  await client.sign({ key: 'shop', data: Buffer.alloc(1) });
  const release = rpc.token.hold();
  const failed = failureOf(client.sign({ key: 'shop', data: Buffer.alloc(1) }));
  await eventually(() => expect(rpc.token.waiting).toBe(1));

  await rpc.server.drain(200);

  expect((await failed).code).toBe(status.UNAVAILABLE);
  await eventually(() => expect(rpc.token.waiting).toBe(0));
  release();
});

describe('a TLS listener does not open', () => {
  const open = async (files: Partial<TlsFiles>) => {
    const opening = rpc.server.listen({
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      identity: { kind: 'certificate', tls: { ...tls, ...files } },
    });
    return opening.then(
      () => 'it opened',
      (error: unknown) => (error instanceof ListenerError ? error.message : error),
    );
  };

  test.each(['certificate', 'key', 'clientCa'] as const)('without its %s', async (file) => {
    expect(await open({ [file]: '/nonexistent/file.pem' })).toContain('/nonexistent/file.pem');
  });

  test('with the key of another certificate', async () => {
    expect(await open({ key: right.key })).toContain(right.key);
  });

  test('with authorities that are none', async () => {
    const empty = join(folder, 'empty.pem');
    writeFileSync(empty, '');

    expect(await open({ clientCa: empty })).toContain(empty);
  });
});

describe('files that are read again', () => {
  /** Copies of the files that a test may change, and a listener that uses them. */
  async function renewable(list?: string) {
    const own = mkdtempSync(join(folder, 'renewable-'));
    const files = {
      certificate: join(own, 'tls.crt'),
      key: join(own, 'tls.key'),
      clientCa: join(own, 'ca.crt'),
    };
    copyFileSync(tls.certificate, files.certificate);
    copyFileSync(tls.key, files.key);
    copyFileSync(authority.certificate, files.clientCa);
    const clientCrl = join(own, 'clients.crl');
    if (list !== undefined) copyFileSync(list, clientCrl);
    address = await rpc.server.listen({
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      identity: {
        kind: 'certificate',
        tls: { ...files, ...(list !== undefined && { clientCrl }) },
      },
    });
    return { ...files, clientCrl };
  }

  /** The common name of the certificate that a new connection is shown. */
  async function shownName(): Promise<string> {
    const socket = connectTls({
      ...{ host: '127.0.0.1', port: port(), rejectUnauthorized: false },
      cert: readFileSync(right.certificate),
      key: readFileSync(right.key),
      ALPNProtocols: ['h2'],
    });
    await once(socket, 'secureConnect');
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return String(CN);
  }

  function issueServer(name: string): KeyPair {
    return authority.issue(name, { subject: `/CN=${name}`, usage: 'serverAuth' });
  }

  test('change nothing before they are put to use, and then new handshakes alone', async () => {
    const files = await renewable();
    const client = connect(right);
    await client.listKeys({});
    const next = issueServer('next');
    copyFileSync(next.certificate, files.certificate);
    copyFileSync(next.key, files.key);

    const { changed, apply } = rpc.server.prepareTls();

    expect(changed).toEqual([files.certificate, files.key]);
    expect(await shownName()).toBe('sigild');
    expect(apply()).toBe(0);
    expect(await shownName()).toBe('next');
    await expect(client.listKeys({})).resolves.toBeDefined();
    expect(rpc.server.prepareTls().changed).toEqual([]);
  });

  test.each([
    ['a certificate without its key', (files: TlsFiles) => files.certificate, 'next'],
    ['half of a certificate', (files: TlsFiles) => files.certificate, 'half'],
    ['authorities that are none', (files: TlsFiles) => files.clientCa, 'empty'],
    ['a certificate that has expired', (files: TlsFiles) => files.certificate, 'expired'],
  ])('are refused with %s, and the old ones stay', async (_, fileOf, content) => {
    const files = await renewable();
    const file = fileOf(files);
    if (content === 'expired') {
      const over = authority.issue('over', {
        ...{ subject: '/CN=over', usage: 'serverAuth', expired: true },
      });
      copyFileSync(over.certificate, files.certificate);
      copyFileSync(over.key, files.key);
    } else if (content === 'next') {
      copyFileSync(issueServer('lonely').certificate, file);
    } else {
      writeFileSync(file, content === 'half' ? readFileSync(file).subarray(0, 200) : '');
    }

    expect(() => rpc.server.prepareTls()).toThrow(
      expect.objectContaining({ name: 'ListenerError', message: expect.stringContaining(file) }),
    );

    expect(await shownName()).toBe('sigild');
  });

  test('close the connections that a new revocation list revokes, and keep them out', async () => {
    const files = await renewable(authority.revocationList('nobody-revoked'));
    const other = authority.issue('other', { subject: '/CN=other', usage: 'clientAuth' });
    const [revoked, stays] = [connect(right), connect(other)];
    rpc.token.writeKey('shop', Buffer.alloc(32));
    await revoked.sign({ key: 'shop', data: Buffer.alloc(1) });
    expect((await failureOf(stays.listKeys({}))).reason).toBe('PERMISSION_DENIED');
    copyFileSync(authority.revocationList('revoked', { revoked: [right] }), files.clientCrl);

    const { changed, apply } = rpc.server.prepareTls();
    const closed = apply();

    expect(changed).toEqual([files.clientCrl]);
    expect(closed).toBe(1);
    expect((await failureOf(revoked.listKeys({}))).code).toBe(status.UNAVAILABLE);
    await shakeHands();
    expect(rpc.refusals[0]?.reason).toBe('CERT_REVOKED');
    expect((await failureOf(stays.listKeys({}))).reason).toBe('PERMISSION_DENIED');
  });

  test('can name a client itself as its authority', async () => {
    const lonely = createSelfSigned(folder, 'self-signed');
    const files = await renewable();
    copyFileSync(lonely.certificate, files.clientCa);

    rpc.server.prepareTls().apply();

    expect((await failureOf(connect(lonely).listKeys({}))).reason).toBe('PERMISSION_DENIED');
  });

  test('close the connections of an authority that is taken out, and of no other', async () => {
    const files = await renewable();
    const newer = createAuthority(folder, 'newer-ca');
    const both = [authority, newer].map(({ certificate }) => readFileSync(certificate, 'utf8'));
    writeFileSync(files.clientCa, both.join(''));
    expect(rpc.server.prepareTls().apply()).toBe(0);
    const [old, stays] = [
      connect(right),
      connect(newer.issue('newer', { subject: '/CN=newer', usage: 'clientAuth' })),
    ];
    await old.listKeys({});
    expect((await failureOf(stays.listKeys({}))).reason).toBe('PERMISSION_DENIED');

    copyFileSync(newer.certificate, files.clientCa);
    const closed = rpc.server.prepareTls().apply();

    expect(closed).toBe(1);
    expect((await failureOf(old.listKeys({}))).code).toBe(status.UNAVAILABLE);
    expect((await failureOf(stays.listKeys({}))).reason).toBe('PERMISSION_DENIED');
  });

  /** A client's pair whose file holds other certificates besides its own. */
  function together(name: string, pair: KeyPair, ...others: readonly KeyPair[]): KeyPair {
    const certificate = join(folder, `${name}-together.pem`);
    const parts = [pair, ...others].map((part) => readFileSync(part.certificate, 'utf8'));
    writeFileSync(certificate, parts.join(''));
    return { certificate, key: pair.key };
  }

  test('close the connections of an authority between that is revoked', async () => {
    const between = authority.delegate('between');
    const leaf = between.issue('leaf', { subject: '/CN=leaf', usage: 'clientAuth' });
    const files = await renewable(authority.revocationList('of-ca'));
    const writeLists = (...revoked: readonly KeyPair[]) => {
      const texts = [
        authority.revocationList('of-ca', { revoked }),
        between.revocationList('of-between'),
      ];
      writeFileSync(files.clientCrl, texts.map((list) => readFileSync(list, 'utf8')).join(''));
    };
    writeLists();
    rpc.server.prepareTls().apply();
    const client = connect(together('between', leaf, between));
    expect((await failureOf(client.listKeys({}))).reason).toBe('PERMISSION_DENIED');

    writeLists(between);
    const closed = rpc.server.prepareTls().apply();

    expect(closed).toBe(1);
    expect((await failureOf(client.listKeys({}))).code).toBe(status.UNAVAILABLE);
  });

  test('close a connection whatever foreign certificates it has brought along', async () => {
    const files = await renewable();
    const newer = createAuthority(folder, 'kept-ca');
    const both = [authority, newer].map(({ certificate }) => readFileSync(certificate, 'utf8'));
    writeFileSync(files.clientCa, both.join(''));
    rpc.server.prepareTls().apply();
    const foreign = newer.issue('foreign', { subject: '/CN=foreign', usage: 'clientAuth' });
    const client = connect(together('foreign', right, foreign));
    await client.listKeys({});

    copyFileSync(newer.certificate, files.clientCa);

    expect(rpc.server.prepareTls().apply()).toBe(1);
  });

  test('are refused with a list that has expired, is early, or is of another authority', async () => {
    const files = await renewable(authority.revocationList('current'));
    const problem = (list: string) => {
      copyFileSync(list, files.clientCrl);
      expect(() => rpc.server.prepareTls()).toThrow(ListenerError);
      try {
        rpc.server.prepareTls();
      } catch (error) {
        return error instanceof Error ? error.message : '';
      }
      return '';
    };

    const stranger = createAuthority(folder, 'stranger-ca');
    expect(problem(authority.revocationList('over', { year: 2020 }))).toBe(
      `cannot use ${files.clientCrl}: it expired at 2021-01-01T00:00:00.000Z`,
    );
    expect(problem(authority.revocationList('early', { year: 2040 }))).toBe(
      `cannot use ${files.clientCrl}: it is not valid before 2040-01-01T00:00:00.000Z`,
    );
    expect(problem(stranger.revocationList('strange'))).toBe(
      `cannot use ${files.clientCrl}: it has no revocation list of CN=ca, of ${files.clientCa}`,
    );
    writeFileSync(files.clientCrl, '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n');
    expect(() => rpc.server.prepareTls()).toThrow(`cannot use ${files.clientCrl}`);
  });

  test('tell when they expire', async () => {
    const files = await renewable(authority.revocationList('dated'));

    const expiries = rpc.server.tlsExpiries().filter(({ file }) => file.includes('renewable-'));

    expect(expiries.map(({ file, role }) => [role, file])).toEqual([
      ['server', files.certificate],
      ['client_ca', files.clientCa],
      ['client_crl', files.clientCrl],
    ]);
    for (const { expiresAtMs } of expiries) expect(expiresAtMs).toBeGreaterThan(Date.now());
  });
});

test('a listener whose revocation list has expired opens, and keeps its clients out', async () => {
  const clientCrl = authority.revocationList('expired-at-start', { year: 2020 });
  address = await rpc.server.listen({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    identity: { kind: 'certificate', tls: { ...tls, clientCrl } },
  });

  await shakeHands();

  expect(rpc.refusals[0]?.reason).toBe('CRL_HAS_EXPIRED');
});
