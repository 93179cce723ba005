import { createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectBatchClient, STREAM_ENDED, type TestPipeline } from '../support/batch-client.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { hostPids } from '../support/host-pids.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const ITEMS_PER_FRAME = 16;
const FRAMES_IN_FLIGHT = 8;

const key = 'adopted-pipeline';
const value = randomBytes(32);

let softHsm: SoftHsm;
let daemon: Daemon;
let streams: readonly TestPipeline[];
let closeClients: () => void;

beforeEach(async () => {
  softHsm = createSoftHsm();
  softHsm.writeKey({ label: key, value });
  daemon = await startDaemon(softHsm, { config: { limits: { defaultDeadlineMs: 15_000 } } });
  // Two streams share the connection of the unix socket, one has that of the port.
  const [unix = '', tcp = ''] = daemon.addresses;
  const clients = [unix, unix, tcp].map((address) => connectBatchClient(address));
  streams = clients.map((client) => client.pipeline());
  closeClients = () => {
    for (const client of clients) client.close();
  };
});

afterEach(async () => {
  closeClients();
  await daemon.stop();
  softHsm.remove();
});

function macOf(data: Buffer): Buffer {
  return createHmac('sha256', value).update(data).digest();
}

/** Frames that are sent one after another on every stream, several at once. */
class Load {
  frames = 0;
  /** What a frame was answered with instead of the right MACs or versions. */
  readonly failures: string[] = [];
  /** Settles when the streams have ended, or after {@link stop}. */
  readonly done: Promise<unknown>;
  #isOver = false;

  constructor() {
    const lanes = streams.flatMap((stream) =>
      Array.from({ length: FRAMES_IN_FLIGHT }, () => stream),
    );
    this.done = Promise.all(lanes.map((stream) => this.#work(stream).catch(unlessEnded)));
  }

  stop(): void {
    this.#isOver = true;
  }

  async #work(stream: TestPipeline): Promise<void> {
    for (let round = 0; !this.#isOver; round++) {
      const failure = await (round % 2 === 0 ? signRandom(stream) : verifyRandom(stream));
      this.frames += 1;
      if (failure !== undefined) this.failures.push(failure);
    }
  }
}

function unlessEnded(error: Error): void {
  if (error.message !== STREAM_ENDED) throw error;
}

/** @returns what was wrong with the answer */
async function signRandom(stream: TestPipeline): Promise<string | undefined> {
  const data = Array.from({ length: ITEMS_PER_FRAME }, () => randomBytes(64));
  const { sign, error } = await stream.send({ sign: { key, data } });
  if (error) return error.message;
  const isRight = sign?.signatures.every((mac, index) => mac.equals(macOf(data[index] as Buffer)));
  return isRight && sign?.signatures.length === data.length ? undefined : 'wrong MACs';
}

/** @returns what was wrong with the answer */
async function verifyRandom(stream: TestPipeline): Promise<string | undefined> {
  const data = Array.from({ length: ITEMS_PER_FRAME }, () => randomBytes(64));
  const signatures = data.map((item, index) => (index % 4 === 0 ? randomBytes(32) : macOf(item)));
  const { verify, error } = await stream.send({ verify: { key, data, signatures } });
  if (error) return error.message;
  const expected = data.map((_, index) => (index % 4 === 0 ? 0 : 1));
  return String(verify?.versions) === String(expected) ? undefined : 'wrong versions';
}

async function endsOf(pipelines: readonly TestPipeline[]): Promise<number[]> {
  const ends = await Promise.all(pipelines.map((pipeline) => pipeline.status));
  return ends.map(({ code }) => code);
}

test('token hosts that are killed under load cost no frame and make no wrong MAC', async () => {
  const load = new Load();

  for (let kills = 0; kills < 4; kills++) {
    const target = load.frames + 100;
    await until(() => load.frames >= target && hostPids(daemon).length === 2);
    process.kill(hostPids(daemon)[kills % 2] as number, 'SIGKILL');
  }
  const target = load.frames + 100;
  await until(() => load.frames >= target);
  load.stop();
  await load.done;
  for (const { call } of streams) call.end();

  expect(await endsOf(streams)).toEqual(streams.map(() => status.OK));
  expect(load.failures).toEqual([]);
  expect(load.frames * ITEMS_PER_FRAME).toBeGreaterThan(5_000);
  const replaced = daemon.logLines.filter(({ msg }) => msg === 'a token host is replaced');
  expect(replaced).toHaveLength(4);
});

test('SIGTERM under load ends every stream with OK and answers every frame that it read', async () => {
  const hosts = hostPids(daemon);
  const load = new Load();
  await until(() => load.frames >= 200);

  const exit = await daemon.stop();
  await load.done;

  expect(exit).toBe(0);
  expect(await endsOf(streams)).toEqual(streams.map(() => status.OK));
  expect(load.failures).toEqual([]);
  const records = daemon.logLines.filter(({ msg }) => msg === 'request');
  expect(records.filter((line) => line['outcome'] !== 'OK')).toEqual([]);
  expect(records.filter((line) => line['method'] === 'Pipeline')).toHaveLength(load.frames);
  expect(hosts.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
});
