import { expect, test } from 'vitest';
import type { AuditedEnd, AuditedOperation } from '../../src/domain/audit-event.ts';
import { SigildError } from '../../src/domain/errors.ts';
import { changeOwn } from '../../src/service/own-change.ts';
import type { AuditLog } from '../../src/service/ports.ts';

const CHANGE = { operation: 'RotateKey', key: 'shop' };

class MemoryLog implements AuditLog {
  readonly told: (readonly [kind: string, event: AuditedOperation | AuditedEnd])[] = [];
  failure: SigildError | undefined;

  admit(): void {}

  async begin(operation: AuditedOperation): Promise<void> {
    if (this.failure) throw this.failure;
    this.told.push(['begin', operation]);
  }

  async end(operation: AuditedEnd): Promise<void> {
    this.told.push(['end', operation]);
  }
}

test('what the daemon changes by itself is told before it is begun, and when it has ended', async () => {
  const log = new MemoryLog();

  const result = await changeOwn(log, CHANGE, async () => {
    expect(log.told.map(([kind]) => kind)).toEqual(['begin']);
    return 'done';
  });

  const [[, begin], [, end]] = log.told as [[string, AuditedOperation], [string, AuditedEnd]];
  expect(result).toBe('done');
  expect(begin).toEqual({ ...CHANGE, client: 'sigild', request: expect.any(String) });
  expect(end).toEqual({ ...begin, outcome: 'OK', latencyUs: expect.any(Number) });
});

test.each([
  ['its reason', new SigildError('TOKEN_FULL', 'it is full'), 'TOKEN_FULL'],
  ['INTERNAL', new Error('a defect'), 'INTERNAL'],
])('a change that fails is told with %s', async (_, error, outcome) => {
  const log = new MemoryLog();

  const change = changeOwn(log, CHANGE, () => Promise.reject(error));

  await expect(change).rejects.toBe(error);
  expect(log.told.at(-1)).toEqual(['end', expect.objectContaining({ outcome })]);
});

test('a change that cannot be told of is not begun', async () => {
  const log = new MemoryLog();
  log.failure = new SigildError('AUDIT_UNAVAILABLE', 'the disk is full');
  let isBegun = false;

  const change = changeOwn(log, CHANGE, async () => {
    isBegun = true;
  });

  await expect(change).rejects.toBe(log.failure);
  expect(isBegun).toBe(false);
});

test('without an audit log changes are made all the same', async () => {
  await expect(changeOwn(undefined, CHANGE, async () => 'done')).resolves.toBe('done');
});
