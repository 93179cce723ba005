import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { hashOf, tornHash } from '../../src/audit/line-hash.ts';
import { rotatedFiles } from '../../src/audit/log-file.ts';
import type { AuditLine } from '../../src/domain/audit-line.ts';
import { sealText, unsealedPart } from '../../src/domain/audit-seal.ts';
import { EXIT_CODES } from '../../src/lifecycle/exit-codes.ts';
import { auditLines, breaksIn } from '../support/audit-lines.ts';
import { AuditedDaemons, endsOf } from '../support/audited-daemons.ts';
import { runDaemonToEnd } from '../support/daemon.ts';
import { startHostedToken } from '../support/hosted-token.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 60_000 });

const DATA = randomBytes(48);

let fixture: AuditedDaemons;

beforeEach(() => {
  fixture = new AuditedDaemons();
});

afterEach(() => fixture.end());

describe('the chain', () => {
  test('goes on after a stop, a kill and a torn line, and is sealed by a key on the token', async () => {
    const first = await fixture.start();
    await fixture.client(first).createKey({ key: 'key', algorithm: 'HMAC_SHA256' });
    await first.stop();
    const second = await fixture.start();
    await fixture.client(second).sign({ key: 'key', data: DATA });
    second.process.kill('SIGKILL');
    await second.exited;
    const before = readFileSync(fixture.file);
    appendFileSync(fixture.file, '{"seq":99,"prev":"to');
    const third = await fixture.start();
    await third.stop();

    const whole = join(fixture.softHsm.directory, 'whole.log');
    const [torn, ...rest] = readFileSync(fixture.file)
      .subarray(before.byteLength)
      .toString()
      .split('\n');
    writeFileSync(whole, before);
    const seals = auditLines(whole).filter(({ kind }) => kind === 'seal');
    const lastHash = hashOf(before.toString().trimEnd().split('\n').at(-1) ?? '');
    const restart = JSON.parse(rest[0] ?? '') as AuditLine;
    expect(breaksIn(whole)).toEqual([]);
    expect(torn).toBe('{"seq":99,"prev":"to');
    expect(restart).toMatchObject({
      kind: 'start',
      prev: tornHash(lastHash)
        .update(torn ?? '')
        .digest('hex'),
      seq: (auditLines(whole).at(-1)?.seq ?? 0) + 2,
    });
    expect(third.logLines.map(({ msg }) => msg)).toContainEqual(expect.stringContaining('torn'));
    expect(seals.length).toBeGreaterThanOrEqual(3);
    await expectSealed(whole);
  });

  test('goes on in the next file when one is full, of which the oldest go', async () => {
    const daemon = await fixture.start({ maxFileBytes: 65_536, maxFiles: 2 });
    const client = fixture.client(daemon);
    await client.createKey({ key: 'key', algorithm: 'HMAC_SHA256' });
    const sign = () => client.sign({ key: 'key', data: DATA });

    for (let signed = 0; signed < 1_000; signed += 50) {
      await Promise.all(Array.from({ length: 50 }, sign));
    }
    await daemon.stop();

    const files = [...(await rotatedFiles(fixture.file)), fixture.file];
    const lines = auditLines(...files);
    const first = lines[0]?.seq ?? 0;
    expect(files).toHaveLength(3);
    expect(first).toBeGreaterThan(1);
    expect(files[0]).toBe(`${fixture.file}.${String(first).padStart(12, '0')}`);
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => first + index));
    expect(breaksIn(...files)).toHaveLength(1);
  });

  test('is not begun anew by a daemon whose log is shorter than the token knows', async () => {
    const daemon = await fixture.start();
    await daemon.stop();
    const lines = readFileSync(fixture.file, 'utf8').split('\n');
    writeFileSync(fixture.file, `${lines.slice(0, -2).join('\n')}\n`);

    const { exit, stderr } = await runDaemonToEnd(fixture.softHsm, { config: fixture.config() });

    expect(exit).toBe(EXIT_CODES.CONFIGURATION);
    expect(stderr).toContain('lines were removed');
  });
});

/** Makes every seal of a log anew. */
async function expectSealed(path: string): Promise<void> {
  const token = await startHostedToken(fixture.softHsm);
  try {
    const keyId = await token.audit.auditKey(new AbortController().signal);
    for (const line of auditLines(path).filter(({ kind }) => kind === 'seal')) {
      const text = sealText(unsealedPart(JSON.stringify(line)));
      const mac = await token.audit.auditMac(keyId, text, new AbortController().signal);
      expect(line).toMatchObject({ mac: Buffer.from(mac).toString('hex') });
    }
  } finally {
    await token.close(1_000);
  }
}

test('a digest of the data is that of one key for each log', async () => {
  const daemon = await fixture.start({ dataDigest: true });
  const client = fixture.client(daemon);
  await client.createKey({ key: 'key', algorithm: 'HMAC_SHA256' });
  for (const data of [DATA, DATA, randomBytes(3)]) await client.sign({ key: 'key', data });
  await daemon.stop();
  const again = await fixture.start({ dataDigest: true });
  await fixture.client(again).sign({ key: 'key', data: DATA });
  await again.stop();

  const signs = endsOf(auditLines(fixture.file)).filter(({ operation }) => operation === 'Sign');
  const [one, two, three, four] = signs.map(({ dataDigest }) => dataDigest);
  expect(one).toMatch(/^[0-9a-f]{64}$/);
  expect([two, four]).toEqual([one, one]);
  expect(three).not.toBe(one);
});
