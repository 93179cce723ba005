import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { sigilctl } from '../integration/admin-sigilctl.ts';
import { type Acknowledged, workUntilGone } from '../support/acknowledged.ts';
import { connectClient } from '../support/client.ts';
import { baseConfig, type Daemon, type DaemonOptions, startDaemon } from '../support/daemon.ts';
import { tellFigures } from '../support/figures.ts';
import { processTree } from '../support/processes.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

/** 100 starts of a daemon take a busy machine long. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 1_800_000 });

const KILLS = 100;

/** So many at a time, on one token. */
const DAEMONS = 2;

/** A daemon lives no longer than this from the moment that it serves, or has made its first key. */
const LONGEST_LIFE_MS = 600;

/** Of one daemon, until it serves. */
const MAX_STARTS = 10;
const RESTART_MS = 200;

/** For starts and calls on a machine that is busy with tests. */
const PATIENT_MS = 60_000;

/** More than have been acknowledged. */
const MAX_CALLS = 100_000;

let softHsm: SoftHsm;
let daemon: Daemon;
let client: Client;
const acknowledged: Acknowledged = { versions: new Map(), macs: [], failures: [] };

/** Starts a daemon, has it work, and kills it at random: the front alone, or with all token hosts. */
async function killOne(place: number, round: number): Promise<void> {
  const socket = join(softHsm.directory, `${place}.sock`);
  const { token } = baseConfig(softHsm);
  const daemon = await startSupervised({
    token: { ...(token as object), startTimeoutMs: PATIENT_MS },
    listeners: [{ unix: socket, mode: '0600', client: 'test' }],
    audit: { file: auditFile(place) },
    log: { level: 'info' },
  });
  const client = connectClient(`unix:${socket}`, undefined, PATIENT_MS);
  const prefix = `killed-${place}-${round}-`;
  const work = workUntilGone(client, prefix, acknowledged);
  try {
    const hasWorked = () => hasKey(prefix) || acknowledged.failures.length > 0;
    if (round % 4 < 3) await until(hasWorked, PATIENT_MS);
    await pause(Math.random() * LONGEST_LIFE_MS);
  } finally {
    const front = daemon.process.pid as number;
    await softHsm.kill(round % 2 ? [front] : processTree(front));
    await daemon.exited;
    await work;
    client.close();
  }
}

/**
 * Starts a daemon again that could not reach the token, as systemd does: SoftHSM 2.6.1 has none while
 * another process writes its file, which here may be one that is just being killed.
 */
async function startSupervised(config: NonNullable<DaemonOptions['config']>): Promise<Daemon> {
  for (let starts = 1; ; starts += 1) {
    try {
      return await startDaemon(softHsm, { config });
    } catch (error) {
      if (starts === MAX_STARTS || !String(error).includes('does not serve (69)')) throw error;
      await pause(RESTART_MS);
    }
  }
}

/** Each place has a log of its own, with which the next daemon there goes on. */
function auditFile(place: number): string {
  return join(softHsm.directory, `audit-${place}.log`);
}

function hasKey(prefix: string): boolean {
  return [...acknowledged.versions.keys()].some((name) => name.startsWith(prefix));
}

beforeAll(async () => {
  softHsm = createSoftHsm();
  const places = Array.from({ length: DAEMONS }, async (_, place) => {
    for (let round = 0; round < KILLS / DAEMONS; round += 1) await killOne(place, round);
  });
  const ends = await Promise.allSettled(places);
  expect(ends.filter(({ status }) => status === 'rejected')).toEqual([]);
  tellFigures({ kills: KILLS, keys: acknowledged.versions.size, macs: acknowledged.macs.length });
  daemon = await startDaemon(softHsm);
  const address = daemon.addresses[0] as string;
  client = connect({ address, deadlineMs: PATIENT_MS, maxOpenCalls: MAX_CALLS });
});

afterAll(async () => {
  await client?.close();
  await daemon?.stop();
  softHsm?.remove();
});

describe('fault 14 [SoftHSM]: after 100 kills of a daemon at work the token opens, every acknowledged key signs, every acknowledged MAC is valid and the audit logs verify', () => {
  test('no call has failed but by the end of its daemon', () => {
    expect(acknowledged.failures).toEqual([]);
    expect(acknowledged.versions.size).toBeGreaterThan(KILLS / 2);
    expect(acknowledged.macs.length).toBeGreaterThan(KILLS / 2);
  });

  test('another program opens the token, and every acknowledged key stands there', () => {
    const listed = softHsm.pkcs11Tool('--list-objects', '--type', 'secrkey');

    const labels = new Set([...listed.matchAll(/^ +label: +(\S+)$/gm)].map(([, label]) => label));
    expect([...acknowledged.versions.keys()].filter((name) => !labels.has(name))).toEqual([]);
  });

  test('every acknowledged key signs, with the acknowledged version or a later one', async () => {
    const signed = await Promise.all(
      [...acknowledged.versions].map(async ([name, version]) => {
        const signature = await client.key(name).sign(Buffer.from(name));
        return { name, isRight: signature.version >= version };
      }),
    );

    expect(signed.filter(({ isRight }) => !isRight)).toEqual([]);
  });

  test('every acknowledged MAC is valid', async () => {
    const verified = await Promise.all(
      acknowledged.macs.map(async ({ key, version, data, mac }) => {
        const { valid } = await client.key(key).verify(data, mac, { version });
        return { key, version, valid };
      }),
    );

    expect(verified.filter(({ valid }) => !valid)).toEqual([]);
  });

  test('the audit logs verify, and tell of every acknowledged key', async () => {
    const { module, label, pinFile } = softHsm;
    const logs = Array.from({ length: DAEMONS }, (_, place) => auditFile(place));
    const token = ['--module', module, '--label', label, '--pin-file', pinFile];

    for (const log of logs) {
      const { exitCode, stderr } = await sigilctl(['audit', 'verify', log, ...token], {
        environment: softHsm.environment,
      });
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    }
    const lines = logs.flatMap((log) => readFileSync(log, 'utf8').split('\n'));
    const told = new Set(
      lines
        .filter(
          (line) => line.includes('"operation":"CreateKey"') && line.includes('"outcome":"OK"'),
        )
        .map((line) => /"key":"([^"]+)"/.exec(line)?.[1]),
    );
    expect([...acknowledged.versions.keys()].filter((name) => !told.has(name))).toEqual([]);
  });
});
