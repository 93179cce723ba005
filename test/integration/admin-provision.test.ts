import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { until } from '../support/wait.ts';
import { type Run, SIGILCTL, sigilctl } from './admin-sigilctl.ts';

/** What Node takes at the most to call a handler of a signal that it has been sent. */
const TURN_MS = 500;

const PLAN = `
keys:
  webhooks:
    algorithm: HMAC_SHA256
    rotationPeriod: 90d
  invoices:
    algorithm: HMAC_SHA512
    destroyable: false
  shop: { algorithm: HMAC_SHA384 }
`;

let rpc: RpcFixture;
let address = '';

beforeEach(async () => {
  rpc = startRpc();
  address = await rpc.listen();
});

afterEach(() => rpc.close());

function planFile(plan: string): string {
  const file = join(rpc.folder, 'plan.yaml');
  writeFileSync(file, plan);
  return file;
}

function provision(plan: string, ...options: readonly string[]): Promise<Run> {
  return sigilctl(['provision', planFile(plan), '--address', address, ...options]);
}

async function names(): Promise<string[]> {
  const { keys } = await rpc.token.listKeys(undefined, AbortSignal.timeout(5_000));
  return keys.map(({ name }) => name);
}

describe('a plan', () => {
  test('is shown, then done with a line for each step, and summed up', async () => {
    const run = await provision(PLAN);

    expect(run).toMatchObject({
      exitCode: 0,
      stdout: '3 created, 0 updated, 0 as planned already\n',
    });
    expect(run.stderr.split('\n')).toEqual([
      'create webhooks: algorithm HMAC_SHA256, rotationPeriod 90d',
      'create invoices: algorithm HMAC_SHA512, destroyable false',
      'create shop: algorithm HMAC_SHA384',
      '[1/3] webhooks: created',
      '[2/3] invoices: created',
      '[3/3] shop: created',
      '',
    ]);
    expect(await names()).toEqual(['invoices', 'shop', 'webhooks']);
    const settings = await rpc.token.findKey('webhooks', AbortSignal.timeout(5_000));
    expect(settings?.settings.rotationPeriodMs).toBe(90 * 86_400_000);
  });

  test('that is done already changes nothing', async () => {
    await provision(PLAN);
    const before = { ...rpc.token.calls };

    const run = await provision(PLAN);

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(run.stdout).toBe('0 created, 0 updated, 3 as planned already\n');
    expect(rpc.token.calls.createKey).toBe(before.createKey);
    expect(rpc.token.calls.changeRecord).toBe(before.changeRecord);
  });

  test('changes the settings that differ', async () => {
    await provision(PLAN);

    const run = await provision(PLAN.replace('90d', 'none'), '-o', 'json');

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(run.stdout)).toEqual({
      steps: [
        {
          action: 'update',
          key: 'webhooks',
          changes: [{ setting: 'rotationPeriod', from: '90d', to: 'none' }],
        },
      ],
      applied: 1,
    });
  });
});

describe('what differs', () => {
  test.each([
    ['--check', 3],
    ['--dry-run', 0],
  ])('is shown with %s, and not changed', async (option, exitCode) => {
    const run = await provision(PLAN, option);

    expect(run).toMatchObject({ exitCode, stderr: '' });
    expect(run.stdout).toContain('create invoices: algorithm HMAC_SHA512, destroyable false\n');
    expect(await names()).toEqual([]);
  });

  test.each(['--check', '--dry-run'])('is nothing with %s when all is done', async (option) => {
    await provision(PLAN);

    const run = await provision(PLAN, option);

    expect(run).toMatchObject({ exitCode: 0, stdout: 'nothing to do\n', stderr: '' });
  });

  test('is asked for in one way at a time', async () => {
    expect(await provision(PLAN, '--check', '--dry-run')).toMatchObject({ exitCode: 64 });
  });
});

describe('a plan that cannot be done', () => {
  test('changes nothing, and is told of as a whole', async () => {
    await provision(
      'keys: { webhooks: { algorithm: HMAC_SHA384 }, invoices: { algorithm: HMAC_SHA512 } }',
    );

    const run = await provision(PLAN);

    expect(run).toMatchObject({ exitCode: 1, stdout: '' });
    expect(run.stderr.split('\n')).toEqual([
      'sigilctl: webhooks: its algorithm is HMAC_SHA384 and cannot become HMAC_SHA256',
      'invoices: it is destroyable and cannot be made indestructible (PLAN_IMPOSSIBLE)',
      '  nothing was changed; correct the plan, or give the keys new names',
      '',
    ]);
    expect(await names()).toEqual(['invoices', 'webhooks']);
  });

  test('because it is wrong is told of before the daemon is asked', async () => {
    const run = await provision('keys:\n  a: { algorithm: MD5 }\n  b: {}\n');

    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    expect(run.stderr).toMatch(/plan\.yaml:2:19: keys\.a\.algorithm: must be one of /);
    expect(run.stderr).toMatch(/plan\.yaml:3:6: keys\.b\.algorithm: is missing: /);
    expect(rpc.requests).toEqual([]);
  });
});

describe('a run that ends early', () => {
  test('by a failure says what is done, and the next run goes on there', async () => {
    rpc.token.failNext('createKey', undefined, new SigildError('TOKEN_FULL', 'it is full'));

    const failed = await provision(PLAN);
    const next = await provision(PLAN);

    expect(failed).toMatchObject({ exitCode: 1, stdout: '' });
    expect(failed.stderr).toContain(
      'sigilctl: create invoices: it is full; 1 of 3 steps are done (TOKEN_FULL)\n' +
        '  run the plan again, which goes on where this run ended\n',
    );
    expect(next).toMatchObject({
      exitCode: 0,
      stdout: '2 created, 0 updated, 1 as planned already\n',
    });
  });

  test('by a signal ends the step that is under way', async () => {
    const listed = rpc.token.hold();
    const child = spawn(
      process.execPath,
      [SIGILCTL, 'provision', planFile(PLAN), '--address', address],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
    });
    await until(() => rpc.token.waiting === 1);
    listed();
    const made = rpc.token.hold();
    await until(() => stderr.includes('create shop') && rpc.token.waiting === 1);

    child.kill('SIGINT');
    await delivered(child);
    made();

    const [exitCode] = await once(child, 'close');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('sigilctl: interrupted; 1 of 3 steps are done (CANCELLED)');
    expect(await names()).toEqual(['webhooks']);
  });
});

/** Lets a process that waits take in the signal that it was sent. */
async function delivered({ pid }: ChildProcess): Promise<void> {
  await until(() => /^SigPnd:\s+0+$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
  await pause(TURN_MS);
}
