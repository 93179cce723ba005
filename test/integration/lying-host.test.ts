import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Host } from '../../src/token-host/host.ts';

const READY =
  '{"type":"ready","serial":"one","canary":{"id":"a","mac":"b"},"lanes":[0],"warmth":{"warm":true,"why":"x"}}\\n';

/** Starts a host whose program writes texts on its control pipe, the later ones when asked to. */
async function start(first: string, later = '') {
  const folder = mkdtempSync(join(tmpdir(), 'sigild-lying-host-'));
  const program = join(folder, 'host.mjs');
  writeFileSync(
    program,
    `import { Socket } from 'node:net';
     const control = new Socket({ fd: 3 });
     control.write('${first}');
     control.on('data', () => control.write('${later}'));`,
  );
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const defects: string[] = [];
  const { signal } = new AbortController();
  const host = Host.start({
    ...{ program, environment: {}, startTimeoutMs: 60_000, signal, module: '/none', sessions: 1 },
    ...{ selector: { label: 'x' }, expectedSerial: undefined, adopt: [], survey: false },
    ...{ pin: { file: '/none', credential: false }, warmKeys: 'off', recheckMs: 1_000 },
    onDefect: (stack) => defects.push(stack),
  });
  return { host, defects };
}

test.each([
  ['no JSON', 'nonsense\\n'],
  ['null', 'null\\n'],
  ['a message of no kind', '{"type":"other"}\\n'],
  ['lanes that it has not', READY.replace('[0]', '[1]')],
  ['a line without end', 'x'.repeat(300_000)],
])('a host that says %s is killed, and its start has failed', async (_, said) => {
  const { host, defects } = await start(said);

  await expect(host).rejects.toMatchObject({ name: 'StartFailure', kind: 'unavailable' });
  expect(defects.join()).toContain('makes no sense');
});

test('a host that says nonsense when it serves is killed', async () => {
  const { host, defects } = await start(READY, '\\0\\n');

  const { exited } = await host;

  expect(await exited).toBe('ended by SIGKILL');
  expect(defects).toHaveLength(1);
});
