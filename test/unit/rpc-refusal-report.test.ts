import { expect, test } from 'vitest';
import { type ReportedRefusal, refusalReport } from '../../src/rpc/refusal-report.ts';

const refusal = { listener: '127.0.0.1:7400', peer: undefined, reason: 'no certificate' };

function subject() {
  const told: ReportedRefusal[] = [];
  const clock = { nowMs: 0 };
  const report = refusalReport(
    (one) => told.push(one),
    () => clock.nowMs,
  );
  return { report, told, clock };
}

test('a peer that is refused over and over makes one line in ten seconds', () => {
  const { report, told, clock } = subject();

  for (let count = 0; count < 100; count += 1) report(refusal);
  clock.nowMs = 10_000;
  report(refusal);

  expect(told).toEqual([
    { ...refusal, unreported: 0 },
    { ...refusal, unreported: 99 },
  ]);
});

test('one listener does not silence another', () => {
  const { report, told } = subject();

  report(refusal);
  report({ ...refusal, listener: '127.0.0.1:7401' });

  expect(told).toHaveLength(2);
});
