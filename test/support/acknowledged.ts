import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { failureOf, type TestClient } from './client.ts';

/** A MAC that a daemon has answered with. */
export interface AcknowledgedMac {
  readonly key: string;
  readonly version: number;
  readonly data: Buffer;
  readonly mac: Buffer;
}

/** What daemons have said is done, and so has to be there for ever. */
export interface Acknowledged {
  /** The newest version of each key. */
  readonly versions: Map<string, number>;
  readonly macs: AcknowledgedMac[];
  /** Whatever failed otherwise than by the end of its daemon. */
  readonly failures: unknown[];
}

/** How much one daemon is asked for at the most: what is there in the end has to be looked at. */
const MOST = { keys: 6, rotations: 3, macs: 200 };

/** Between two changes of one caller, so that they are spread over the daemon's life. */
const LONGEST_PAUSE_MS = 60;

/**
 * Creates keys, rotates some of them and signs until the daemon is gone.
 *
 * @param prefix of its keys' names, which no other call has
 * @returns when each caller has had a failure, or enough answers
 */
export async function workUntilGone(
  client: TestClient,
  prefix: string,
  acknowledged: Acknowledged,
): Promise<void> {
  const { versions, macs, failures } = acknowledged;
  const names: string[] = [];
  const create = async (turn: number) => {
    await pause(Math.random() * LONGEST_PAUSE_MS);
    const name = `${prefix}${turn}`;
    await client.createKey({ key: name, algorithm: 'HMAC_SHA256' });
    versions.set(name, 1);
    names.push(name);
  };
  const rotate = async (turn: number) => {
    await pause(Math.random() * LONGEST_PAUSE_MS);
    const name = names[turn % names.length];
    if (name === undefined) return;
    const { key } = await client.rotateKey({ key: name });
    versions.set(name, key?.primaryVersion ?? 0);
  };
  const sign = async (turn: number) => {
    const name = names[turn % names.length];
    if (name === undefined) return pause(LONGEST_PAUSE_MS);
    const data = randomBytes(16);
    const { signature, version } = await client.sign({ key: name, data });
    macs.push({ key: name, version: version ?? 0, data, mac: signature as Buffer });
  };
  const callers = [
    repeat(MOST.keys, create),
    repeat(MOST.rotations, rotate),
    repeat(MOST.macs, sign),
    repeat(MOST.macs, sign),
  ];
  const ended = callers.map(async (caller) => {
    const end = await caller;
    if (end !== undefined) failures.push(end);
  });
  await Promise.all(ended);
}

/** @returns what ended it, unless that was the end of the daemon */
async function repeat(times: number, call: (turn: number) => Promise<void>): Promise<unknown> {
  try {
    for (let turn = 0; turn < times; turn += 1) await call(turn);
    return undefined;
  } catch (error) {
    // Without a reason of sigild's the connection was lost: what was asked for may be done or not.
    const { code, reason } = await failureOf(Promise.reject(error));
    return code === status.UNAVAILABLE && reason === undefined ? undefined : error;
  }
}
