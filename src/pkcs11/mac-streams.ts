import { SigildError } from '../domain/errors.ts';
import type { Fingerprint } from '../domain/fingerprint.ts';
import { type VersionRef, versionName } from '../domain/key.ts';
import { type KeyState, maySign, mayVerify, stateOf } from '../domain/key-state.ts';
import type { Handle } from './attributes.ts';
import { CryptokiError } from './ck-rv.ts';
import type { DirectoryEntry } from './key-directory.ts';
import { readUsage } from './key-usage.ts';
import { MacOperation } from './mac-operation.ts';
import { pause } from './pause.ts';
import type { Session } from './session.ts';
import { TokenLost } from './token-lost.ts';
import type { TokenSession } from './token-session.ts';

/** A version that makes or checks a message's MAC. */
interface Worker {
  readonly ref: VersionRef;
  readonly handle: Handle;
  readonly operation: MacOperation;
}

/** What is done with a message. */
interface Purpose {
  /** For errors. */
  readonly action: string;
  /** Whether a version of that state may do it. */
  readonly allows: (state: KeyState) => boolean;
}

const PURPOSES = {
  sign: { action: 'signing', allows: maySign },
  verify: { action: 'verifying', allows: mayVerify },
} as const satisfies Record<string, Purpose>;

type PurposeName = keyof typeof PURPOSES;

/** How long a key that is being changed gets to show itself again. */
const HIDDEN_MS = 20;

/** Finds a key, ready for use. */
type Load = (ref: VersionRef) => DirectoryEntry;

/** A message that comes in pieces, and the versions that work on it. */
interface MacStream extends Purpose {
  readonly refs: readonly VersionRef[];
  /** Without those that have ended early. */
  workers: readonly Worker[];
  /** Why it ended early. */
  failure: SigildError | undefined;
}

/**
 * MACs of messages that come in pieces, beside what the session of a thread is used for in between.
 *
 * 1. Each version that works on a message has a session of its own, which is cheap: SoftHSM 2.6 takes
 *    some 8 µs to open and to close one. No session is used for a second message.
 * 2. They work with the keys themselves and not with copies, so that the token decides.
 * 3. A state that is changed meanwhile counts: {@link recheck} ends what it forbids at once, and
 *    before a message ends the token is asked again, which may know of another program's change.
 * 4. A message that has failed goes on failing until it is ended, as further pieces may be on their way.
 */
export class MacStreams {
  readonly #session: TokenSession;
  /** By the numbers that their owners have chosen. */
  readonly #open = new Map<number, MacStream>();

  constructor(session: TokenSession) {
    this.#session = session;
  }

  /**
   * Begins a message that one version signs, or that several verify.
   *
   * @returns the fingerprints that prove the keys
   * @throws {SigildError} as Token.signStream
   */
  open(id: number, purpose: PurposeName, refs: readonly VersionRef[]): readonly Fingerprint[] {
    const { action } = PURPOSES[purpose];
    const start = (session: Session, load: Load) => startAll(session, purpose, refs, load);
    const { result: workers, fingerprints } = this.#session.withKeys(action, refs, start);
    this.#open.set(id, { ...PURPOSES[purpose], refs, workers, failure: undefined });
    return fingerprints;
  }

  /** @throws {SigildError} as TokenStream.update */
  update(id: number, piece: Buffer): void {
    const stream = this.#get(id);
    this.#work(stream, () => {
      for (const { operation } of stream.workers) operation.update(piece);
    });
  }

  /** Ends a message that is signed. @throws {SigildError} as TokenStream.finish */
  finishSign(id: number): Buffer {
    return this.#finish(id, ([signer]) => {
      if (!signer) throw new Error('nobody signs');
      return signer.operation.mac();
    });
  }

  /**
   * Ends a message that is verified.
   *
   * @returns the index of the first version whose MAC it is, or -1
   * @throws {SigildError} as TokenStream.finish
   */
  finishVerify(id: number, mac: Buffer): number {
    const { refs } = this.#get(id);
    return this.#finish(id, (workers) => {
      const found = workers.find(({ operation }) => operation.matches(mac));
      return found ? refs.indexOf(found.ref) : -1;
    });
  }

  /** Ends a message without a result; it makes no difference whether it is there. */
  abandon(id: number): void {
    const stream = this.#open.get(id);
    this.#open.delete(id);
    if (stream) close(stream);
  }

  /**
   * Ends the work of a version that its new state does not allow any more.
   *
   * @throws {TokenLost}
   */
  recheck(ref: VersionRef): void {
    const name = versionName(ref);
    for (const stream of this.#open.values()) {
      const concerned = stream.workers.filter((worker) => versionName(worker.ref) === name);
      try {
        this.#work(stream, () => this.#dismissForbidden(stream, concerned));
      } catch (error) {
        // The stream's next step says so.
        if (error instanceof TokenLost || !(error instanceof SigildError)) throw error;
      }
    }
  }

  closeAll(): void {
    for (const id of this.#open.keys()) this.abandon(id);
  }

  #get(id: number): MacStream {
    const stream = this.#open.get(id);
    if (stream) return stream;
    throw new Error(`stream ${id} is not open`);
  }

  #finish<Result>(id: number, end: (workers: readonly Worker[]) => Result): Result {
    const stream = this.#get(id);
    try {
      return this.#work(stream, () => {
        this.#dismissForbidden(stream, stream.workers);
        assertAlive(stream);
        return end(stream.workers);
      });
    } finally {
      this.abandon(id);
    }
  }

  /** Does the next step of a message, which fails for good where the step does. */
  #work<Result>(stream: MacStream, step: () => Result): Result {
    assertAlive(stream);
    try {
      return this.#session.answer(actionOf(stream), step);
    } catch (error) {
      if (error instanceof SigildError) stream.failure = error;
      close(stream);
      throw error;
    }
  }

  #dismissForbidden(stream: MacStream, workers: readonly Worker[]): void {
    for (const worker of workers) if (!readAllowed(stream, worker)) dismiss(stream, worker);
  }
}

function startAll(
  session: Session,
  purpose: PurposeName,
  refs: readonly VersionRef[],
  load: Load,
): Worker[] {
  const workers: Worker[] = [];
  try {
    for (const ref of refs) {
      const entry = load(ref);
      if (entry.kind !== 'mac') throw new Error('messages are not streamed to key pairs');
      // A key that may sign verifies by making the MAC itself: see LoadedKeys.
      const signs = entry.maySign || purpose === 'sign';
      const operation = new MacOperation(session.slot, entry, signs);
      workers.push({ ref, handle: entry.handle, operation });
    }
    return workers;
  } catch (error) {
    for (const { operation } of workers) operation.close();
    throw error;
  }
}

/** Whether the token lets a version go on. @throws {CryptokiError} */
function readAllowed({ allows }: MacStream, { handle, operation }: Worker): boolean {
  const read = () => allows(stateOf(readUsage(operation.session, handle)));
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CryptokiError) || error.verdict.next !== 'find-again') throw error;
    // SoftHSM 2.6 hides a key for a moment while another process changes it.
    pause(HIDDEN_MS);
    return read();
  }
}

function dismiss(stream: MacStream, worker: Worker): void {
  worker.operation.close();
  stream.workers = stream.workers.filter((other) => other !== worker);
  if (stream.workers.length > 0) return;
  stream.failure ??= new SigildError(
    'KEY_STATE_FORBIDS',
    `${actionOf(stream)}: the state of the version was changed before the data ended`,
  );
}

function assertAlive({ failure }: MacStream): void {
  if (failure) throw failure;
}

function close(stream: MacStream): void {
  for (const { operation } of stream.workers) operation.close();
  stream.workers = [];
}

function actionOf({ action, refs }: MacStream): string {
  return `${action} data in pieces with key ${refs[0]?.key}`;
}
