import { readSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { SigildError } from '../domain/errors.ts';
import { type JoiningOptions, joinToken } from '../pkcs11/joined-session.ts';
import { MacStreams } from '../pkcs11/mac-streams.ts';
import { TokenLost } from '../pkcs11/token-lost.ts';
import type { TokenSession } from '../pkcs11/token-session.ts';
import { StartFailure, type StartFailureKind } from '../service/start-failure.ts';
import { type Frame, FrameReader, numberFrame, timeFrame } from './frames.ts';
import { type LaneMeans, perform } from './lane-operations.ts';
import { encodeFailure, OUTCOME } from './protocol.ts';

/**
 * A session lane: a thread with one PKCS#11 session, and one more for each version that works on a
 * message that comes in pieces. It answers the frames that the front writes into its pipe; pieces of
 * messages take their turns with all else. It never turns its event loop: it reads, calls the token and writes, all blocking.
 * The end of the pipe is the end of the lane.
 */

export interface LaneData extends JoiningOptions {
  readonly fd: number;
  /** An Int32Array's memory: not 0 once the main thread has heard that a lane ends. */
  readonly heard: SharedArrayBuffer;
}

/** What a lane tells its host's main thread. */
export type LaneMessage =
  | { readonly type: 'opened' }
  | { readonly type: 'refused'; readonly message: string }
  /** It cannot even connect, which it has to where the module's connection is not shared. */
  | { readonly type: 'failed'; readonly kind: StartFailureKind; readonly message: string }
  /** The front has closed the pipe. */
  | { readonly type: 'ending' }
  | { readonly type: 'defect'; readonly stack: string };

const READ_BYTES = 256 * 1024;

/** Answers that are done wait no longer than this for the others of their batch. */
const FLUSH_AFTER_MS = 1;

/** How long the main thread may take to hear that a lane ends. */
const LEAVE_LIMIT_MS = 2_000;

function answer(means: LaneMeans, frame: Frame): Buffer {
  try {
    return perform(means, frame);
  } catch (error) {
    if (error instanceof SigildError) {
      return encodeFailure(error instanceof TokenLost ? OUTCOME.lost : OUTCOME.failed, error);
    }
    tell({ type: 'defect', stack: error instanceof Error ? String(error.stack) : String(error) });
    return encodeFailure(OUTCOME.failed, new SigildError('INTERNAL', 'a defect in a session lane'));
  }
}

function serve(fd: number, means: LaneMeans): void {
  const reader = new FrameReader();
  const input = Buffer.allocUnsafe(READ_BYTES);
  for (;;) {
    const bytes = readSync(fd, input);
    if (bytes === 0) return;
    let answers: Buffer[] = [];
    let flushedAtMs = performance.now();
    let begunAtMs = flushedAtMs;
    for (const frame of reader.push(input.subarray(0, bytes))) {
      const answered = answer(means, frame);
      numberFrame(answered, frame.call);
      answers.push(answered);
      const nowMs = performance.now();
      timeFrame(answered, nowMs - begunAtMs);
      begunAtMs = nowMs;
      if (nowMs - flushedAtMs < FLUSH_AFTER_MS) continue;
      writeFully(fd, answers);
      answers = [];
      begunAtMs = performance.now();
      flushedAtMs = begunAtMs;
    }
    if (answers.length > 0) writeFully(fd, answers);
  }
}

function writeFully(fd: number, answers: readonly Buffer[]): void {
  const bytes = answers.length === 1 ? (answers[0] as Buffer) : Buffer.concat(answers);
  for (let written = 0; written < bytes.byteLength; ) {
    written += writeSync(fd, bytes, written);
  }
}

function tell(message: LaneMessage): void {
  parentPort?.postMessage(message);
}

/** The main thread may sit in the module for ever, where nothing but a signal ends it. */
function takeLeave(heard: Int32Array): void {
  tell({ type: 'ending' });
  if (Atomics.wait(heard, 0, 0, LEAVE_LIMIT_MS) === 'timed-out') {
    process.kill(process.pid, 'SIGKILL');
  }
}

/** @returns undefined when the token lets the lane have no session */
function join(data: LaneData): TokenSession | undefined {
  try {
    const session = joinToken(data);
    session.open();
    return session;
  } catch (error) {
    if (error instanceof SigildError) tell({ type: 'refused', message: error.message });
    else if (error instanceof StartFailure) {
      tell({ type: 'failed', kind: error.kind, message: error.message });
    } else throw error;
    return undefined;
  }
}

function run(data: LaneData): void {
  const session = join(data);
  if (!session) return;
  tell({ type: 'opened' });
  const streams = new MacStreams(session);
  try {
    serve(data.fd, { session, streams });
  } finally {
    streams.closeAll();
    session.close();
    takeLeave(new Int32Array(data.heard));
  }
}

run(workerData as LaneData);
