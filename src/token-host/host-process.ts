import { Socket } from 'node:net';
import { constants, getPriority, setPriority } from 'node:os';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { FINGERPRINT_BYTES } from '../domain/fingerprint.ts';
import { forbidCoreDumps } from '../native/linux-process.ts';
import { KeyLocations } from '../pkcs11/key-locations.ts';
import { connectToken, type TokenConnection } from '../pkcs11/token-connection.ts';
import { StartFailure } from '../service/start-failure.ts';
import { ControlChannel } from './control-channel.ts';
import {
  type CanaryProof,
  CONTROL_FD,
  FIRST_LANE_FD,
  type HostMessage,
  type StartMessage,
} from './host-messages.ts';
import type { LaneData, LaneMessage } from './session-lane.ts';

/**
 * A token host: the process that has the module, the PIN and the login. Its main thread connects to
 * the token, runs the session lanes, and looks once where all keys stand; it ends when the front
 * closes the lanes' pipes, and at once when the front is gone.
 */

/** How long lanes may take to finish when the front has gone: nobody waits for their answers. */
const ORPHAN_LIMIT_MS = 2_000;

/** A signal to the whole process group is for the front, which lets its hosts finish first. */
const SIGNALS_OF_THE_FRONT = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** SoftHSM 2.6 needs about 10 kB for each. Further keys sign as they stand on the token. */
const MAX_COPIES_PER_SESSION = 1_024;

/**
 * How much nicer a host is than the front: where processors are scarce, the front's event loop would
 * else wait for lanes that compute.
 */
const NICER_BY = 5;

/** The starts of other hosts and the front's own listing of the keys, on a lane, go first. */
const SURVEY_DELAY_MS = 1_000;

/** How long the survey of the keys keeps this thread from its events, but for single calls that do. */
const SURVEY_STEP_MS = 5;

/** Not 0 once this thread has heard that a lane ends, and so the host. */
const heardMemory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
const heard = new Int32Array(heardMemory);

interface OpenedLanes {
  readonly open: readonly number[];
  readonly shortage: string | undefined;
  /** Settles when every lane has ended. */
  readonly ended: Promise<unknown>;
}

/** The front's messages: one, which starts this. */
const control = new ControlChannel(new Socket({ fd: CONTROL_FD }), {
  onMessage: (message) => {
    run(message as StartMessage).catch(fail);
  },
  onNonsense: () => fail(new Error('the front said what makes no sense')),
  onClose: () => {
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), ORPHAN_LIMIT_MS).unref();
  },
});

function send(message: HostMessage, sent?: () => void): void {
  control.send(message, sent);
}

/** Threads get the priority of the one that starts them, so this comes before the lanes. */
function letFrontGoFirst(): void {
  try {
    setPriority(Math.min(constants.priority.PRIORITY_LOW, getPriority() + NICER_BY));
  } catch {
    // A sandbox may forbid it; then they take turns.
  }
}

async function run(message: StartMessage): Promise<void> {
  letFrontGoFirst();
  const connection = connectToken(message);
  const locations = new KeyLocations();
  const { open, shortage, ended } = await openLanes(message, connection, locations);
  if (open.length === 0) {
    throw new StartFailure('unavailable', `the token opens no session: ${shortage}`);
  }
  const { serial, warmth } = connection;
  send({ type: 'ready', serial, canary: proofOf(connection), lanes: open, shortage, warmth });
  // What it finds is of use to nobody else where each lane has a connection of its own.
  if (message.survey && connection.isShared) await survey(connection, locations, ended);
  await ended;
  connection.close();
  control.close();
}

function proofOf({ canaryId, canaryMac }: TokenConnection): CanaryProof {
  return { id: canaryId, mac: canaryMac.subarray(0, FINGERPRINT_BYTES).toString('hex') };
}

/** @throws {StartFailure} when a lane needs its own connection and cannot have one */
async function openLanes(
  { module, adopt, sessions, recheckMs, pin }: StartMessage,
  { slot, serial, canaryMac, warmth, isShared }: TokenConnection,
  { memory }: KeyLocations,
): Promise<OpenedLanes> {
  const warmKeys = warmth.warm ? { maxCopies: MAX_COPIES_PER_SESSION, recheckMs } : undefined;
  const lanes: OpenedLane[] = [];
  for (let lane = 0; lane < sessions; lane += 1) {
    const opened = openLane({
      fd: FIRST_LANE_FD + lane,
      heard: heardMemory,
      module,
      slot: slot.handle,
      adopt,
      canaryMac,
      locations: memory,
      warmKeys,
      ownConnection: isShared ? undefined : { serial, pin },
    });
    lanes.push(opened);
    // Each logs in: a PIN that has been changed just now is to be refused once.
    if (!isShared) await opened.refusal;
  }
  const refusals = await Promise.all(lanes.map(({ refusal }) => refusal));
  return {
    open: [...refusals.keys()].filter((lane) => refusals[lane] === undefined),
    shortage: refusals.find((refusal) => refusal !== undefined),
    ended: Promise.all(lanes.map(({ end }) => end)),
  };
}

interface OpenedLane {
  /** Why the lane has no session; undefined when it has one. Rejects with a StartFailure. */
  readonly refusal: Promise<string | undefined>;
  readonly end: Promise<void>;
}

function openLane(data: LaneData): OpenedLane {
  const worker = new Worker(new URL('./session-lane.js', import.meta.url), { workerData: data });
  // A lane that throws has lost its place in the stream of frames: the host cannot go on.
  worker.on('error', fail);
  const end = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const refusal = new Promise<string | undefined>((resolve, reject) => {
    worker.on('message', (message: LaneMessage) => {
      switch (message.type) {
        case 'defect':
          return send(message);
        case 'ending':
          return hear();
        case 'failed':
          return reject(new StartFailure(message.kind, message.message));
        default:
          return resolve(message.type === 'refused' ? message.message : undefined);
      }
    });
  });
  return { refusal, end };
}

/** Looks where all keys stand, unless the host ends or a lane has seen them all before. */
async function survey(
  connection: TokenConnection,
  locations: KeyLocations,
  ended: Promise<unknown>,
): Promise<void> {
  await Promise.race([pause(SURVEY_DELAY_MS, undefined, { ref: false }), ended]);
  const steps = connection.survey(locations);
  let sinceMs = performance.now();
  while (Atomics.load(heard, 0) === 0 && !locations.isComplete && !steps.next().done) {
    if (performance.now() - sinceMs < SURVEY_STEP_MS) continue;
    await nextTurn();
    sinceMs = performance.now();
  }
}

/** Lets the lanes end, which wait for it. */
function hear(): void {
  Atomics.store(heard, 0, 1);
  Atomics.notify(heard, 0);
}

function fail(error: unknown): void {
  // Threads may sit in the module, where process.exit() would wait for them for ever.
  send(failureMessage(error), () => process.kill(process.pid, 'SIGKILL'));
}

function failureMessage(error: unknown): HostMessage {
  if (error instanceof StartFailure) {
    return { type: 'failed', kind: error.kind, message: error.message };
  }
  return { type: 'defect', stack: error instanceof Error ? String(error.stack) : String(error) };
}

// A module that crashes takes what it knows with it.
forbidCoreDumps();
for (const signal of SIGNALS_OF_THE_FRONT) process.on(signal, () => undefined);
