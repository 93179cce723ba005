import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { AuditLine } from '../../src/domain/audit-line.ts';
import type { Wrapping } from '../../src/domain/key-import.ts';
import type { GetImportKeyResponse__Output } from '../../src/generated/sigild/v1/GetImportKeyResponse.ts';
import { EXIT_CODES } from '../../src/lifecycle/exit-codes.ts';
import { EFFECTS, type RpcMethod } from '../../src/rpc/audited-method.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { wrapSecret } from '../../src/service/secret-wrapping.ts';
import { auditLines, breaksIn } from '../support/audit-lines.ts';
import { AuditedDaemons, endsOf } from '../support/audited-daemons.ts';
import { connectBatchClient } from '../support/batch-client.ts';
import { failureOf } from '../support/client.ts';
import { type Daemon, runDaemonToEnd } from '../support/daemon.ts';
import { connectStreamClient } from '../support/stream-client.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 60_000 });

const LIMIT = { timeout: 60_000, interval: 50 };
const DATA = randomBytes(48);
const PERIOD = { seconds: 7_200, nanos: 0 };

let fixture: AuditedDaemons;

beforeEach(() => {
  fixture = new AuditedDaemons();
});

afterEach(() => fixture.end());

/** Makes one call of each method that is no stream, and of some more. @returns what must not be told */
async function callEach(daemon: Daemon): Promise<readonly Uint8Array[]> {
  const client = fixture.client(daemon);
  const key = 'key';
  await client.createKey({ key, algorithm: 'HMAC_SHA256' });
  await client.createKey({ key: 'pair', algorithm: 'EC_SIGN_P256_SHA256' });
  const { signature = Buffer.alloc(0) } = await client.sign({ key, data: DATA });
  await client.verify({ key, data: DATA, signature });
  await client.verify({ key, data: DATA, signature: randomBytes(32) });
  await client.getKey({ key });
  await client.listKeys({});
  await client.getPublicKey({ key: 'pair' });
  await client.listPublicKeys();
  await client.getTokenInfo();
  await client.rotateKey({ key, keepActive: true });
  await client.updateKeyVersion({ key, version: 1, state: 'SUSPENDED' });
  await client.scheduleDestroy({ key, version: 1, delay: { seconds: 86_400, nanos: 0 } });
  await client.restore({ key, version: 1 });
  const keys = rawKeys(daemon);
  await updateKey(keys, key);
  const secret = randomBytes(32);
  await importKey(keys, secret);
  return [DATA, signature, secret];
}

/** What takes a token long on a machine that is busy with tests. */
const PATIENT_MS = 120_000;

async function updateKey(keys: RawKeys, key: string): Promise<void> {
  await answerOf((done) => keys.updateKey({ key, rotationPeriod: PERIOD }, patient(), done));
}

async function importKey(keys: RawKeys, secret: Uint8Array): Promise<void> {
  const algorithm = 'HMAC_SHA256';
  const offer = await answerOf<GetImportKeyResponse__Output>((done) =>
    keys.getImportKey({ algorithm }, patient(), done),
  );
  const { importKeyId = '', publicKeyDer = Buffer.alloc(0), wrapping } = offer;
  const wrappedKey = wrapSecret(secret, publicKeyDer, wrapping as Wrapping);
  const request = { key: 'imported', algorithm, importKeyId, wrappedKey } as const;
  await answerOf((done) => keys.importKey(request, patient(), done));
}

type RawKeys = InstanceType<typeof v1.KeyService>;

function rawKeys({ addresses: [address = ''] }: Daemon): RawKeys {
  return fixture.closing(new v1.KeyService(address, credentials.createInsecure()));
}

function patient() {
  return { deadline: Date.now() + PATIENT_MS };
}

function answerOf<Answer>(
  call: (done: (error: ServiceError | null, answer?: Answer) => void) => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    call((error, answer) => (error ? reject(error) : resolve(answer as Answer)));
  });
}

/** Those with many messages or messages in pieces. */
async function callStreams({ addresses: [address = ''] }: Daemon): Promise<void> {
  const batches = fixture.closing(connectBatchClient(address));
  const { signatures } = await batches.batchSign({ key: 'key', data: [DATA, DATA] });
  const wrong = [signatures[0] ?? DATA, randomBytes(32)];
  await batches.batchVerify({ key: 'key', data: [DATA, DATA], signatures: wrong });
  const pipeline = batches.pipeline();
  await pipeline.send({ sign: { key: 'key', data: [DATA, DATA, DATA] } });
  await pipeline.send({ verify: { key: 'key', data: [DATA], signatures: [randomBytes(32)] } });
  pipeline.call.end();
  const streams = fixture.closing(connectStreamClient(address));
  const { signature = DATA } = await streams.sign({ key: 'key' }, DATA);
  await streams.verify({ key: 'key', version: 2, signature }, DATA);
}

test('every method leaves its lines, before and after, and nothing that is secret', async () => {
  const daemon = await fixture.start();
  const secrets = await callEach(daemon);
  await callStreams(daemon);

  const exit = await daemon.stop();

  const lines = auditLines(fixture.file);
  const text = readFileSync(fixture.file, 'latin1');
  expect(exit).toBe(EXIT_CODES.OK);
  expect(breaksIn(fixture.file)).toEqual([]);
  expect(
    lines.map(({ kind }) => kind).filter((kind) => kind !== 'begin' && kind !== 'end'),
  ).toEqual(['start', 'seal', 'stop', 'seal']);
  const ends = endsOf(lines);
  expect(new Set(ends.map(({ operation }) => operation))).toEqual(new Set(Object.keys(EFFECTS)));
  expect(ends.filter(({ outcome }) => outcome !== 'OK')).toEqual([]);
  for (const end of ends.filter(({ operation }) => EFFECTS[operation as RpcMethod] === 'change')) {
    const { kind, seq } = lines.find(
      (line) => 'request' in line && line.request === end.request,
    ) as AuditLine;
    expect({ kind, isBefore: seq < end.seq }).toEqual({ kind: 'begin', isBefore: true });
  }
  expect(ends).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ operation: 'CreateKey', key: 'key', version: 1, client: 'test' }),
      expect.objectContaining({ operation: 'RotateKey', key: 'key', version: 2 }),
      expect.objectContaining({ operation: 'Sign', key: 'key', version: 1 }),
      expect.objectContaining({ operation: 'Verify', valid: true }),
      expect.objectContaining({ operation: 'Verify', valid: false }),
      expect.objectContaining({ operation: 'BatchSign', version: 2, items: 2, failed: 0 }),
      expect.objectContaining({ operation: 'BatchVerify', valid: false, items: 2, failed: 1 }),
      expect.objectContaining({ operation: 'Pipeline', version: 2, items: 3, failed: 0 }),
      expect.objectContaining({ operation: 'Pipeline', valid: false, items: 1, failed: 1 }),
      expect.objectContaining({ operation: 'SignStream', key: 'key', version: 2 }),
      expect.objectContaining({ operation: 'VerifyStream', key: 'key', version: 2, valid: true }),
    ]),
  );
  for (const secret of [...secrets, Buffer.from(fixture.softHsm.pin)]) {
    for (const form of ['latin1', 'hex', 'base64', 'base64url'] as const) {
      expect(text.includes(Buffer.from(secret).toString(form))).toBe(false);
    }
  }
});

test('what is refused leaves its line with the reason', async () => {
  const daemon = await fixture.start();
  const [client, other] = [fixture.client(daemon), fixture.client(daemon, 2)];
  await client.createKey({ key: 'key', algorithm: 'HMAC_SHA256' });

  await failureOf(other.sign({ key: 'key', data: DATA }));
  await failureOf(other.createKey({ key: 'more', algorithm: 'HMAC_SHA256' }));
  await failureOf(client.sign({ key: 'no such key!', data: DATA }));
  await failureOf(client.sign({ key: 'key' }));
  await failureOf(client.sign({ key: 'missing', data: DATA }));
  await daemon.stop();

  const refused = endsOf(auditLines(fixture.file)).filter(({ outcome }) => outcome !== 'OK');
  expect(refused.map(({ client: name, key, outcome }) => [name, key, outcome])).toEqual([
    ['other', 'key', 'PERMISSION_DENIED'],
    ['other', 'more', 'PERMISSION_DENIED'],
    ['test', undefined, 'FIELD_INVALID'],
    ['test', 'key', 'DATA_MISSING'],
    ['test', 'missing', 'KEY_NOT_FOUND'],
  ]);
});

test('what is only tried leaves one line that says so', async () => {
  const daemon = await fixture.start();
  const keys = rawKeys(daemon);
  const request = { key: 'tried', algorithm: 'HMAC_SHA256', dryRun: true } as const;

  await answerOf((done) => keys.createKey(request, patient(), done));
  await daemon.stop();

  const lines = auditLines(fixture.file).filter((line) => 'operation' in line);
  expect(lines).toMatchObject([{ kind: 'end', key: 'tried', dryRun: true, outcome: 'OK' }]);
});

test('what the daemon does by itself leaves its lines', async () => {
  const daemon = await fixture.start();
  const client = fixture.client(daemon);
  const delay = { seconds: 1, nanos: 0 };
  await client.createKey({ key: 'rotating', algorithm: 'HMAC_SHA256', rotationPeriod: delay });
  await client.createKey({ key: 'doomed', algorithm: 'HMAC_SHA256' });
  await client.updateKeyVersion({ key: 'doomed', version: 1, state: 'SUSPENDED' });
  await client.scheduleDestroy({ key: 'doomed', version: 1, delay });

  await expect
    .poll(() => endsOf(auditLines(fixture.file)).map(({ operation }) => operation), LIMIT)
    .toEqual(expect.arrayContaining(['DestroyVersion']));
  await expect
    .poll(() => ownOperations(), LIMIT)
    .toEqual(
      expect.arrayContaining([
        ['begin', 'RotateKey', 'rotating'],
        ['end', 'RotateKey', 'rotating'],
        ['begin', 'DestroyVersion', 'doomed'],
        ['end', 'DestroyVersion', 'doomed'],
      ]),
    );
});

function ownOperations() {
  return auditLines(fixture.file).flatMap((line) =>
    'operation' in line && line.client === 'sigild' ? [[line.kind, line.operation, line.key]] : [],
  );
}

describe('a file', () => {
  test('is for one daemon alone, and for its user alone', async () => {
    const daemon = await fixture.start();

    const { exit, stderr } = await runDaemonToEnd(fixture.softHsm, { config: fixture.config() });

    expect(exit).toBe(EXIT_CODES.CONFIGURATION);
    expect(stderr).toContain('another process writes this audit log');
    expect(statSync(fixture.file).mode & 0o777).toBe(0o600);
    expect(daemon.process.exitCode).toBeNull();
  });

  test('is not opened through a symbolic link', async () => {
    symlinkSync(join(fixture.softHsm.directory, 'elsewhere'), fixture.file);

    const { exit, stderr } = await runDaemonToEnd(fixture.softHsm, { config: fixture.config() });

    expect(exit).toBe(EXIT_CODES.CONFIGURATION);
    expect(stderr).toContain('symbolic link');
  });

  test('that was taken away is begun anew, and goes on with the chain', async () => {
    const daemon = await fixture.start();
    const client = fixture.client(daemon);
    await client.createKey({ key: 'key', algorithm: 'HMAC_SHA256' });
    const aside = join(fixture.softHsm.directory, 'aside.log');
    renameSync(fixture.file, aside);

    await client.createKey({ key: 'more', algorithm: 'HMAC_SHA256' });
    await daemon.stop();

    expect(breaksIn(aside, fixture.file)).toEqual([]);
    expect(daemon.logLines).toContainEqual(
      expect.objectContaining({ level: 'error', msg: expect.stringContaining('was removed') }),
    );
  });
});

test('fault 15 [SoftHSM]: a disk that has no room for the audit log refuses changes until it has room again', async () => {
  const maxBytes = 4_096;
  const daemon = await fixture.start(
    {},
    { launcher: ['prlimit', `--fsize=${maxBytes}:unlimited`] },
  );
  const client = fixture.client(daemon);
  await client.createKey({ key: 'key', algorithm: 'HMAC_SHA256' });
  const sign = () => client.sign({ key: 'key', data: DATA });
  await expect
    .poll(() => sign().then(() => statSync(fixture.file).size), LIMIT)
    .toBeGreaterThan(3_600);
  await sign();
  await sign();
  const before = fixture.softHsm.pkcs11Tool('--list-objects');

  const refused = await failureOf(client.createKey({ key: 'more', algorithm: 'HMAC_SHA256' }));
  const signed = await sign();
  const after = fixture.softHsm.pkcs11Tool('--list-objects');
  execFileSync('prlimit', ['--pid', String(daemon.process.pid), '--fsize=unlimited:unlimited']);
  await expect
    .poll(() => client.createKey({ key: 'more', algorithm: 'HMAC_SHA256' }).catch(() => 0), LIMIT)
    .toHaveProperty('key');
  await daemon.stop();

  expect(refused).toMatchObject({ code: status.UNAVAILABLE, reason: 'AUDIT_UNAVAILABLE' });
  expect(refused.retryDelayMs).toBeGreaterThan(0);
  expect(signed.signature).toHaveLength(32);
  expect(after).toBe(before);
  expect(breaksIn(fixture.file)).toEqual([]);
  const resumed = endsOf(auditLines(fixture.file)).find(
    ({ operation }) => operation === 'AuditResumed',
  );
  expect(resumed?.failed).toBeGreaterThanOrEqual(3);
  const told = daemon.logLines.filter(({ msg }) => msg.includes('the audit log can'));
  expect(told.map(({ level }) => level)).toEqual(['error', 'warn']);
});
