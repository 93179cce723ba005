import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { ChannelCredentials, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type Authority, createAuthority, type KeyPair } from '../support/certificates.ts';
import { connectClient, failureOf, type TestClient } from '../support/client.ts';
import { startLoad } from '../support/client-load.ts';
import { baseConfig, type Daemon, EVERYTHING, runSigild, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const DEADLINE_MS = 20_000;
const DATA = Buffer.from('data');

let softHsm: SoftHsm;
let ca: Authority;
let daemon: Daemon;
/** What the daemon reads; tests write over it. */
let files: { certificate: string; key: string; clientCa: string; clientCrl: string };
let listeners: readonly unknown[];
let alice: KeyPair;

beforeAll(async () => {
  softHsm = createSoftHsm();
  ca = createAuthority(softHsm.directory);
  const inFolder = (name: string) => join(softHsm.directory, name);
  files = {
    certificate: inFolder('tls.crt'),
    key: inFolder('tls.key'),
    clientCa: ca.certificate,
    clientCrl: inFolder('clients.crl'),
  };
  install(issueServer('first'));
  copyFileSync(ca.revocationList('empty'), files.clientCrl);
  alice = ca.issue('alice', { subject: '/CN=alice', usage: 'clientAuth' });
  listeners = [
    { unix: inFolder('sigild.sock'), mode: '0600', client: 'test' },
    { tcp: '127.0.0.1:0', tls: files },
  ];
  daemon = await startDaemon(softHsm, {
    config: {
      listeners,
      clients: clients(),
      metrics: { listen: inFolder('metrics.sock') },
      log: { level: 'info' },
    },
  });
  await open().createKey({ key: 'shop', algorithm: 'HMAC_SHA256' });
});

afterAll(async () => {
  await daemon?.stop();
  softHsm?.remove();
});

function clients(...aliceMay: readonly string[]) {
  return [
    { name: 'test', grants: EVERYTHING },
    { name: 'alice', grants: [{ keys: ['shop'], operations: ['getKey', ...aliceMay] }] },
  ];
}

function issueServer(name: string): KeyPair {
  return ca.issue(name, { subject: `/CN=${name}`, names: 'IP:127.0.0.1', usage: 'serverAuth' });
}

/** Puts a pair in the place of the daemon's, as a tool would that renews certificates. */
function install({ certificate, key }: KeyPair): void {
  copyFileSync(certificate, files.certificate);
  copyFileSync(key, files.key);
}

function writeConfig(content: string): void {
  const next = `${daemon.configFile}.new`;
  writeFileSync(next, content);
  renameSync(next, daemon.configFile);
}

function configWith(changes: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({
    ...{ ...baseConfig(softHsm), listeners },
    metrics: { listen: join(softHsm.directory, 'metrics.sock') },
    log: { level: 'info' },
    ...changes,
  });
}

const clientsOpen: TestClient[] = [];

afterEach(() => {
  for (const client of clientsOpen.splice(0)) client.close();
});

/** Connects with a certificate; without one, as a client that may do everything. */
function open(pair?: KeyPair): TestClient {
  const [unix = '', tcp = ''] = daemon.addresses;
  const client = pair ? connectClient(tcp, channelOf(pair), DEADLINE_MS) : connectClient(unix);
  clientsOpen.push(client);
  return client;
}

function channelOf(pair: KeyPair): ChannelCredentials {
  const context = createSecureContext({
    ca: readFileSync(ca.certificate),
    cert: readFileSync(pair.certificate),
    key: readFileSync(pair.key),
  });
  return ChannelCredentials.createFromSecureContext(context);
}

/** The common name of the certificate that the daemon shows to a new connection. */
function shownName(): Promise<string> {
  const [host, port] = (daemon.addresses[1] ?? '').split(':');
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      ...{ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] },
      ...{ cert: readFileSync(alice.certificate), key: readFileSync(alice.key) },
    });
    socket.on('error', reject);
    socket.on('secureConnect', () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
  });
}

/** Waits for the next line of the log with this text. */
async function nextLine(message: string, cause: () => void) {
  const before = daemon.logLines.length;
  const found = () => daemon.logLines.slice(before).find(({ msg }) => msg.includes(message));
  cause();
  await until(() => found() !== undefined);
  return found();
}

/** As {@link nextLine}, and makes the daemon look at once. */
function nextLineOnHangup(message: string, cause: () => void) {
  return nextLine(message, () => {
    cause();
    daemon.process.kill('SIGHUP');
  });
}

async function metrics(): Promise<string> {
  return new Promise((resolve, reject) => {
    get(
      { socketPath: join(softHsm.directory, 'metrics.sock'), path: '/metrics', agent: false },
      (response) => resolve(text(response)),
    ).on('error', reject);
  });
}

const IN_USE = 'what has changed is in use';
const REFUSED = 'all stays as it was';

test('a policy that changes gives and takes grants on open connections', async () => {
  const client = open(alice);
  expect((await failureOf(client.sign({ key: 'shop', data: DATA }))).code).toBe(
    status.PERMISSION_DENIED,
  );

  const given = await nextLine(IN_USE, () => writeConfig(configWith({ clients: clients('sign') })));
  await client.sign({ key: 'shop', data: DATA });
  await nextLineOnHangup(IN_USE, () => writeConfig(configWith({ clients: clients() })));
  const taken = await failureOf(client.sign({ key: 'shop', data: DATA }));

  expect(given).toMatchObject({ level: 'info', clients: { changed: ['alice'] }, files: [] });
  expect(taken.reason).toBe('PERMISSION_DENIED');
});

test('a grant that has expired gives nothing, and a client that sees the key learns of it', async () => {
  const expired = { keys: ['*'], operations: ['sign', 'verify'], expires: '2020-01-01T00:00:00Z' };
  const [other, { name, grants } = { name: '', grants: [] }] = clients();
  await nextLineOnHangup(IN_USE, () =>
    writeConfig(configWith({ clients: [other, { name, grants: [...grants, expired] }] })),
  );

  const failure = await failureOf(open(alice).sign({ key: 'shop', data: DATA }));
  const hidden = await failureOf(open(alice).sign({ key: 'hidden', data: DATA }));

  expect(failure).toMatchObject({
    reason: 'PERMISSION_DENIED',
    message: expect.stringContaining('its grant expired at 2020-01-01T00:00:00.000Z'),
  });
  expect(hidden.reason).toBe('KEY_NOT_FOUND');
});

test('a configuration that is broken keeps the last good one, and is taken when it is mended', async () => {
  const client = open(alice);
  const broken = configWith({ clients: [] }).replace('"unix"', '"unixx"');

  const line = await nextLineOnHangup(REFUSED, () => writeConfig(broken));
  expect(line).toMatchObject({
    level: 'error',
    problems: expect.arrayContaining([
      expect.stringMatching(/config\.yaml:1:\d+: listeners\[0\]\.unixx: unknown key/),
      expect.stringMatching(/config\.yaml:1:\d+: clients: must be a list/),
    ]),
  });
  await client.getKey({ key: 'shop' });
  expect(await metrics()).toMatch(/^sigild_last_reload_successful 0$/m);

  await nextLine(IN_USE, () => writeConfig(configWith({ clients: clients('verify') })));

  const signature = Buffer.alloc(32);
  expect(await client.verify({ key: 'shop', data: DATA, signature })).toMatchObject({
    valid: false,
  });
  expect(await metrics()).toMatch(/^sigild_last_reload_successful 1$/m);
});

test('settings that need a restart are named', async () => {
  const line = await nextLineOnHangup('wait for a restart', () =>
    writeConfig(configWith({ clients: clients(), limits: { maxWaiting: 7 } })),
  );

  expect(line).toMatchObject({ level: 'warn', settings: ['limits.maxWaiting'] });
  writeConfig(configWith({ clients: clients() }));
});

test('a certificate that is renewed under load fails no call, and half of it changes nothing', async () => {
  await nextLineOnHangup(IN_USE, () => writeConfig(configWith({ clients: clients('sign') })));
  const client = open(alice);
  const load = startLoad(4, async (data) => {
    // Over a connection that stays, and over one of its own.
    const fresh = connectClient(daemon.addresses[1] ?? '', channelOf(alice), DEADLINE_MS);
    await Promise.all([client, fresh].map((caller) => caller.sign({ key: 'shop', data })));
    fresh.close();
  });
  const second = issueServer('second');

  const refused = await nextLineOnHangup(REFUSED, () =>
    copyFileSync(second.certificate, files.certificate),
  );
  expect(await shownName()).toBe('first');
  const renewed = await nextLine(IN_USE, () => copyFileSync(second.key, files.key));
  expect(await shownName()).toBe('second');
  const answered = load.answered();
  await until(() => load.answered() > answered + 10);

  expect(await load.end()).toEqual([]);
  expect(refused).toMatchObject({ problems: [expect.stringContaining(files.certificate)] });
  expect(renewed).toMatchObject({
    files: [files.certificate, files.key],
    closedConnections: 0,
  });
});

test('SIGHUP reads everything at once, and says so where nothing has changed', async () => {
  const line = await nextLineOnHangup('nothing has changed', () => undefined);

  expect(line).toMatchObject({ level: 'info' });
  await open().getKey({ key: 'shop' });
});

test('a client that is revoked loses its connection and gets no other, and others stay', async () => {
  const bob = ca.issue('bob', { subject: '/CN=alice', usage: 'clientAuth' });
  const [revoked, stays] = [open(bob), open(alice)];
  await revoked.getKey({ key: 'shop' });
  await stays.getKey({ key: 'shop' });

  const line = await nextLineOnHangup(IN_USE, () =>
    copyFileSync(ca.revocationList('with-bob', { revoked: [bob] }), files.clientCrl),
  );

  expect(line).toMatchObject({ files: [files.clientCrl], closedConnections: 1 });
  expect((await failureOf(revoked.getKey({ key: 'shop' }))).code).toBe(status.UNAVAILABLE);
  await stays.getKey({ key: 'shop' });
});

test('the log warns of what expires within a month, and metrics tell when', async () => {
  // The certificates of tests last two days.
  const warned = daemon.logLines.filter(({ msg }) => msg.endsWith('is going to expire'));

  expect(warned.map(({ role }) => role)).toEqual(
    expect.arrayContaining(['server', 'client_ca', 'client_crl']),
  );
  expect(await metrics()).toContain(
    `sigild_certificate_expiry_seconds{file="${files.certificate}",role="server"}`,
  );
});

test('metrics count requests, and tell of the token hosts', async () => {
  await failureOf(open().getKey({ key: 'missing' }));

  const found = await metrics();

  expect(found).toMatch(/^sigild_requests_total\{method="GetKey",outcome="KEY_NOT_FOUND"\} \d+$/m);
  expect(found).toMatch(/^sigild_token_hosts 2$/m);
  expect(found).toMatch(/^sigild_sessions 4$/m);
  expect(found).not.toContain('alice');
});

test('--check-config tells of grants that have expired, and is content', async () => {
  const [first] = EVERYTHING;
  const grants = [{ ...first, expires: '2020-01-01T00:00:00Z' }];
  const file = join(softHsm.directory, 'expired.yaml');
  writeFileSync(file, configWith({ clients: [...clients(), { name: 'old', grants }] }));

  const { exit, stderr } = await runSigild(['--config', file, '--check-config']);

  expect(exit).toBe(0);
  expect(stderr).toBe(
    `${file}: warning: clients[2].grants[0]: expired at 2020-01-01T00:00:00.000Z\n`,
  );
});
