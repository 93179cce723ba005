import { Duplex } from 'node:stream';
import { SigildError } from '../../src/domain/errors.ts';
import { encodeFrame, FrameReader, numberFrame, timeFrame } from '../../src/token-host/frames.ts';
import type { CanaryProof } from '../../src/token-host/host-messages.ts';
import { Lane } from '../../src/token-host/lane.ts';
import { encodeFailure, OPERATION, OUTCOME } from '../../src/token-host/protocol.ts';
import type { SupervisedHost } from '../../src/token-host/supervisor.ts';

/** Lets everything happen that waits for nothing but its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A frame that holds a text. */
export function textFrame(text: string, code: number = OPERATION.sign): Buffer {
  return encodeFrame(code, Buffer.byteLength(text), (payload) => payload.write(text));
}

/** A request that has reached a session and is not answered. */
interface Request {
  readonly call: number;
  readonly text: string;
}

/** A lane, and the session at the far end of its pipe, which answers when a test says so. */
export class FakeSession {
  readonly lane: Lane;
  /** What each write to the pipe held. */
  readonly batches: (readonly string[])[] = [];
  readonly pending: Request[] = [];
  /** Whether the front has said that no more calls come. */
  ended = false;
  /** How long it says that it worked on each request. */
  workedMs = 2;
  /** While it does not read, the pipe keeps what is written. */
  reading = true;
  readonly pipe: Duplex;
  readonly #reader = new FrameReader();

  constructor() {
    this.pipe = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        if (!this.reading) return;
        this.#take(chunk);
        done();
      },
      final: (done) => {
        this.ended = true;
        done();
      },
    });
    this.lane = new Lane(this.pipe);
  }

  /** Answers the oldest requests, each with its own text. */
  answer(count = 1): void {
    const answers = this.pending
      .splice(0, count)
      .map(({ call, text }) => numbered(textFrame(text, OUTCOME.done), call, this.workedMs));
    if (answers.length > 0) this.pipe.push(Buffer.concat(answers));
  }

  /** Answers the oldest request with an error. */
  fail(error: SigildError): void {
    const request = this.pending.shift();
    if (request) this.pipe.push(numbered(encodeFailure(OUTCOME.failed, error), request.call));
  }

  /** Says for the oldest request that the token is lost. */
  loseToken(): void {
    const error = new SigildError('TOKEN_UNAVAILABLE', 'the token is lost');
    const request = this.pending.shift();
    if (request) this.pipe.push(numbered(encodeFailure(OUTCOME.lost, error), request.call));
  }

  close(): void {
    this.pipe.destroy();
  }

  #take(chunk: Buffer): void {
    const frames = [...this.#reader.push(chunk)].map(({ call, payload }) => ({
      call,
      text: payload.toString(),
    }));
    this.batches.push(frames.map(({ text }) => text));
    this.pending.push(...frames);
  }
}

function numbered(frame: Buffer, call: number, workedMs = 0): Buffer {
  numberFrame(frame, call);
  timeFrame(frame, workedMs);
  return frame;
}

/** A token host without a process. A killed one lives on until a test lets it end. */
export class FakeHost implements SupervisedHost {
  readonly serial: string;
  readonly canary: CanaryProof;
  readonly sessions: readonly FakeSession[];
  readonly lanes: readonly Lane[];
  readonly exited: Promise<string>;
  killed = false;
  ended = false;
  #exit: (how: string) => void = () => undefined;

  constructor(sessions = 1, serial = 'serial', canary: CanaryProof = { id: '01', mac: '0a' }) {
    this.serial = serial;
    this.canary = canary;
    this.sessions = Array.from({ length: sessions }, () => new FakeSession());
    this.lanes = this.sessions.map((session) => session.lane);
    this.exited = new Promise((resolve) => {
      this.#exit = resolve;
    });
  }

  kill(): void {
    this.killed = true;
  }

  /** Ends the process, and its pipes with it. */
  async exit(how = 'ended by SIGKILL'): Promise<void> {
    this.ended = true;
    this.#exit(how);
    for (const session of this.sessions) session.close();
    await turn();
  }

  /** Every text that has reached it. */
  get received(): readonly string[] {
    return this.sessions.flatMap((session) => session.batches.flat());
  }

  /** What its sessions have not answered. */
  get pending(): readonly string[] {
    return this.sessions.flatMap((session) => session.pending.map(({ text }) => text));
  }

  /** Answers everything that has reached it. */
  answerAll(): void {
    for (const session of this.sessions) session.answer(session.pending.length);
  }
}
