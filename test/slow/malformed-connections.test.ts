import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { credentials } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { FUZZ_TIMEOUT_MS, inputs } from '../support/fuzz.ts';
import { connectionGarbage, LAST_PING, lastPing } from '../support/http2-garbage.ts';
import { openFiles } from '../support/processes.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

/** Connections with garbage. */
const { numRuns: CONNECTIONS, seed: SEED = Date.now() % 2 ** 31 } = inputs(10_000);
const BATCH = 500;
const AT_ONCE = 16;

/** With so many, everything that is made once is there. */
const WARM_UP = Math.min(2_000, CONNECTIONS / 5);
const MAX_GROWTH_MB = 80;

/** A connection on which the daemon waits for more says nothing. */
const SILENCE_MS = 40;

/**
 * HTTP/2 of Node 20.20 reads no more after some errors, and does not see that the peer has gone: the pings
 * of gRPC do, after 80 s. With these no listener runs out of connections until then.
 */
const LISTENERS = 6;
const NOTICED_MS = 300_000;

/** Between the calls of the client that behaves. */
const PAUSE_MS = 5;

/** Two that use keys, one that changes them. */
const HOSTS = 3;

const STREAMS = 4;
const SECRET = Buffer.alloc(32, 7);

let softHsm: SoftHsm;
let daemon: Daemon;
let polite: Client;

beforeAll(async () => {
  softHsm = createSoftHsm();
  softHsm.writeKey({ label: 'adopted-polite', value: SECRET });
  const grants = [{ keys: ['*'], operations: ['sign', 'verify', 'getKey', 'listKeys'] }];
  daemon = await startDaemon(softHsm, {
    config: {
      listeners: [
        { unix: `${softHsm.directory}/polite.sock`, client: 'polite' },
        ...Array.from({ length: LISTENERS }, (_, index) => ({
          unix: garbagePath(index),
          client: 'garbage',
        })),
      ],
      clients: [
        { name: 'polite', grants },
        { name: 'garbage', grants },
      ],
      limits: {
        ...{ maxInFlightPerClient: 32, maxStreamsPerClient: STREAMS },
        ...{ maxSigningStreamsPerClient: STREAMS, signingStreamIdleMs: 1_000 },
      },
      log: { level: 'info' },
    },
  });
  polite = connect({ address: daemon.addresses[0] as string, deadlineMs: 30_000 });
});

afterAll(async () => {
  await polite?.close();
  await daemon?.stop();
  softHsm?.remove();
});

function garbagePath(index: number): string {
  return `${softHsm.directory}/garbage-${index % LISTENERS}.sock`;
}

/** Writes bytes on a connection of its own, and stays until the daemon has read them or closed it. */
function send(bytes: Buffer, path: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectSocket(path);
    let silence: NodeJS.Timeout | undefined;
    const leave = () => socket.destroy();
    const listen = () => {
      clearTimeout(silence);
      silence = setTimeout(leave, SILENCE_MS);
    };
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(silence);
      resolve();
    });
    socket.on('data', (answer) => {
      listen();
      if (answer.includes(LAST_PING)) leave();
    });
    socket.write(Buffer.concat([bytes, lastPing()]), listen);
  });
}

async function sendAll(connections: readonly Buffer[]): Promise<void> {
  const waiting = [...connections];
  const work = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      await send(next, garbagePath(waiting.length));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function expectRightMac(data: Buffer): Promise<void> {
  const { signature } = await polite.key('adopted-polite').sign(data);
  expect(Buffer.from(signature)).toEqual(createHmac('sha256', SECRET).update(data).digest());
}

function hostsStarted(): number {
  return daemon.logLines.filter(({ msg }) => msg.endsWith('is logged in')).length;
}

function residentMb(): number {
  const status = readFileSync(`/proc/${daemon.process.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024;
}

function openSockets(): number {
  return openFiles(daemon.process.pid as number).filter((file) => file.startsWith('socket:'))
    .length;
}

/** Uses up every place that the client of the garbage has, of which none may have been lost. */
async function expectEveryPlaceFree(): Promise<void> {
  const signing = new v1.SigningService(`unix:${garbagePath(0)}`, credentials.createInsecure());
  const request = { key: 'adopted-polite', data: [Buffer.from('data')] };
  const pipelines = Array.from({ length: STREAMS }, () => signing.pipeline());
  const answers = pipelines.map(
    (stream) =>
      new Promise((resolve, reject) => {
        stream.on('data', resolve).on('error', reject);
        stream.write({ correlationId: 1, sign: request });
      }),
  );
  expect(await Promise.all(answers)).toHaveLength(STREAMS);
  for (const stream of pipelines) stream.end();
  const calls = Array.from({ length: STREAMS }, () => {
    let write!: () => void;
    const done = new Promise((resolve, reject) => {
      const call = signing.signStream((error, answer) => (error ? reject(error) : resolve(answer)));
      call.write({ header: { key: 'adopted-polite' } });
      write = () => call.end({ data: Buffer.from('data') });
    });
    return { done, write: () => write() };
  });
  for (const { write } of calls) write();
  expect(await Promise.all(calls.map(({ done }) => done))).toHaveLength(STREAMS);
  signing.close();
}

test('ten thousand connections with garbage leave the daemon as it was', {
  timeout: 15 * FUZZ_TIMEOUT_MS,
}, async () => {
  await expectRightMac(Buffer.from('before'));
  await expect.poll(hostsStarted, { timeout: 60_000 }).toBe(HOSTS);
  const socketsBefore = openSockets();
  const expectNoConnection = () =>
    expect
      .poll(openSockets, { timeout: NOTICED_MS, interval: 500 })
      .toBeLessThan(socketsBefore + 2);
  let politeCalls = 0;
  let isOver = false;
  const ended = daemon.exited.then((how) => {
    throw new Error(`the daemon has ended (${how}): ${daemon.stderr()}`);
  });
  const politeCallsDone = (async () => {
    for (; !isOver; politeCalls += 1) {
      await expectRightMac(Buffer.from(`call ${politeCalls}`));
      await pause(PAUSE_MS);
    }
  })();
  const politeClient = Promise.race([politeCallsDone, ended]);
  // Whatever else fails first is told of.
  politeClient.catch(() => undefined);

  await sendGarbage(0, WARM_UP);
  await expectNoConnection();
  const residentBefore = residentMb();
  await sendGarbage(WARM_UP, CONNECTIONS);
  isOver = true;
  await politeClient;
  await expectNoConnection();

  await expectEveryPlaceFree();
  const { logLines } = daemon;
  const failures = logLines.filter(({ level }) => level === 'error' || level === 'fatal');
  expect(failures, `seed ${SEED}`).toEqual([]);
  expect(logLines.filter(({ msg }) => msg.endsWith('is replaced'))).toEqual([]);
  expect(residentMb() - residentBefore, `seed ${SEED}, in MB`).toBeLessThan(MAX_GROWTH_MB);
  expect(politeCalls).toBeGreaterThan(0);
  expect(daemon.stderr()).toBe('');
});

async function sendGarbage(from: number, to: number): Promise<void> {
  for (let sent = from; sent < to; sent += BATCH) {
    const numRuns = Math.min(BATCH, to - sent);
    await sendAll(fc.sample(connectionGarbage, { numRuns, seed: SEED + sent }));
    expect(daemon.process.exitCode, `seed ${SEED}, after ${sent}`).toBeNull();
  }
}
