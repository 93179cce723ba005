import { execFileSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditHeadLabel, encodeAuditHead } from '../../src/domain/audit-seal.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { startHostedToken } from '../support/hosted-token.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const LOG = '0d9c2f6e-64c5-4c0c-8d58-6a8b0c7a3b21';
const OTHER_LOG = '7c1d2f6e-64c5-4c0c-8d58-6a8b0c7a3b21';
const TEXT = Buffer.from('sigild audit seal v1\n{"seq":1');

const { signal } = new AbortController();

let softHsm: SoftHsm;
let token: HostedToken;

beforeAll(async () => {
  softHsm = createSoftHsm();
  token = await startHostedToken(softHsm);
});

afterAll(async () => {
  await token?.close(2_000);
  softHsm?.remove();
});

function head(seq: number) {
  return { seq, hash: createHash('sha256').update(String(seq)).digest('hex') };
}

function objectsOf(kind: 'secrkey' | 'data', label: string): number {
  const listed = softHsm.pkcs11Tool('--list-objects', '--type', kind);
  return listed.split('\n').filter((line) => line.includes('label:') && line.includes(label))
    .length;
}

test('the audit key is made once, cannot leave the token and is no key of a client', async () => {
  const first = await token.audit.auditKey(signal);
  const again = await token.audit.auditKey(signal);

  const { keys } = await token.listKeys(undefined, signal);
  const listed = softHsm.pkcs11Tool('--list-objects', '--type', 'secrkey');
  expect(again).toBe(first);
  expect(objectsOf('secrkey', 'sigild:audit')).toBe(1);
  expect(listed).toMatch(/sigild:audit\n.*\n.*\n.*sensitive, always sensitive, never extractable/);
  expect(keys).toEqual([]);
});

test('one that another program has brought is not taken for it', async () => {
  const before = await token.audit.auditKey(signal);
  softHsm.writeKey({ label: 'sigild:audit', id: '00', value: Buffer.alloc(32, 1) });

  const after = await token.audit.auditKey(signal);

  expect(after).toBe(before);
});

test('the audit key signs texts of the audit log alone, the same in every host', async () => {
  const keyId = await token.audit.auditKey(signal);

  const macs = await Promise.all(
    Array.from({ length: 8 }, () => token.audit.auditMac(keyId, TEXT, signal)),
  );

  expect(new Set(macs.map((mac) => Buffer.from(mac).toString('hex'))).size).toBe(1);
  expect(macs[0]).toHaveLength(32);
  for (const text of ['sigild key fingerprint v1', 'sigild audit', '']) {
    const refused = token.audit.auditMac(keyId, Buffer.from(text), signal);
    await expect(refused).rejects.toMatchObject({ reason: 'DATA_RESERVED' });
  }
  const unknown = token.audit.auditMac('00', TEXT, signal);
  await expect(unknown).rejects.toMatchObject({ reason: 'KEY_NOT_FOUND' });
});

test('the head of each log is replaced, and found by any host', async () => {
  const none = await token.audit.findAuditHead(LOG, signal);
  await token.audit.keepAuditHead(OTHER_LOG, head(7), signal);
  for (const seq of [9, 10, 11]) await token.audit.keepAuditHead(LOG, head(seq), signal);

  const [found, other] = await Promise.all([
    token.audit.findAuditHead(LOG, signal),
    token.audit.findAuditHead(OTHER_LOG, signal),
  ]);

  expect(none).toBeUndefined();
  expect(found).toEqual(head(11));
  expect(other).toEqual(head(7));
  expect(objectsOf('data', LOG)).toBe(1);
});

test('a head that somebody without the PIN has put there is not believed', async () => {
  const log = randomUUID();
  await token.audit.keepAuditHead(log, head(3), signal);
  const file = join(softHsm.directory, 'head');
  writeFileSync(file, encodeAuditHead(head(1_000)));
  execFileSync(
    'pkcs11-tool',
    [
      ...['--module', softHsm.module, '--token-label', softHsm.label, '--write-object', file],
      ...['--type', 'data', '--application-label', 'sigild', '--label', auditHeadLabel(log)],
    ],
    { env: { ...process.env, ...softHsm.environment }, stdio: 'pipe' },
  );

  const found = await token.audit.findAuditHead(log, signal);

  expect(objectsOf('data', log)).toBe(2);
  expect(found).toEqual(head(3));
});
