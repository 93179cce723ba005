import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { TokenUser } from '../domain/token-info.ts';
import type { Warmth } from '../domain/token-options.ts';
import { StartFailure } from '../service/start-failure.ts';
import { ControlChannel } from './control-channel.ts';
import {
  type CanaryProof,
  CONTROL_FD,
  type FailedMessage,
  FIRST_LANE_FD,
  hostMessage,
  type ReadyMessage,
  type StartMessage,
} from './host-messages.ts';
import { Lane } from './lane.ts';

export interface HostOptions extends StartMessage {
  /** Path of host-process.js. */
  readonly program: string;
  /** The child's environment; it holds what the PKCS#11 module needs and no secret. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** How long loading, login and opening of sessions may take in all. */
  readonly startTimeoutMs: number;
  readonly onDefect: (stack: string) => void;
  /** Ends it before it is ready. */
  readonly signal: AbortSignal;
}

/** One token host as the front sees it. */
export class Host {
  readonly lanes: readonly Lane[];
  readonly serial: string;
  readonly canary: CanaryProof;
  readonly warmth: Warmth;
  /** Why it has fewer lanes than asked for; undefined when it has all. */
  readonly shortage: string | undefined;
  /** Settles when the process has ended, with what ended it. */
  readonly exited: Promise<string>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ready: ReadyMessage, exited: Promise<string>) {
    this.#child = child;
    const pipes = lanePipes(child);
    this.lanes = ready.lanes.map((lane) => new Lane(pipes[lane] as Socket));
    for (const [lane, pipe] of pipes.entries()) if (!ready.lanes.includes(lane)) pipe.destroy();
    this.serial = ready.serial;
    this.canary = ready.canary;
    this.warmth = ready.warmth;
    this.shortage = ready.shortage;
    this.exited = exited;
  }

  /**
   * Starts a host process and waits until it has logged in and opened its sessions.
   *
   * @throws {StartFailure} after the process has ended
   */
  static async start(options: HostOptions): Promise<Host> {
    const child = spawnHost(options);
    const exited = exitOf(child);
    // Node 20 sends a signal for a child that it had no descriptors to spawn to its own process group.
    if (child.pid === undefined) {
      throw new StartFailure('unavailable', `the token host ${await exited}`);
    }
    try {
      const ready = await readyMessage(child, exited, options);
      return new Host(child, ready, exited);
    } catch (error) {
      child.kill('SIGKILL');
      await exited;
      throw error;
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Ends it at once, whatever its threads do: a call that hangs in the module cannot be ended else. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Lets the lanes finish, then log out; kills it after the limit. */
  async stop(limitMs: number): Promise<void> {
    for (const lane of this.lanes) lane.end();
    const timer = setTimeout(() => this.kill(), limitMs);
    await this.exited;
    clearTimeout(timer);
  }
}

export function userOf({ lanes, warmth }: Host): TokenUser {
  return { sessions: lanes.length, warmth };
}

function spawnHost({ program, environment, sessions }: HostOptions): ChildProcess {
  const pipes = Array.from({ length: sessions }, () => 'pipe' as const);
  const child = spawn(process.execPath, [program], {
    // The module's own output goes to the journal and never among the log lines on stdout.
    stdio: ['ignore', 2, 2, 'pipe', ...pipes],
    env: environment,
  });
  // What breaks a pipe ends the process or a lane, and each of those is noticed by itself.
  child.on('error', () => undefined);
  for (const pipe of lanePipes(child)) pipe.on('error', () => undefined);
  return child;
}

function lanePipes(child: ChildProcess): Socket[] {
  // A process that could not be spawned, for want of file descriptors, has no streams at all.
  return (child.stdio?.slice(FIRST_LANE_FD) ?? []) as Socket[];
}

async function exitOf(child: ChildProcess): Promise<string> {
  try {
    const [code, signal] = await once(child, 'exit');
    return signal ? `ended by ${signal}` : `exited with ${code}`;
  } catch (error) {
    return `did not start: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function readyMessage(
  child: ChildProcess,
  exited: Promise<string>,
  options: HostOptions,
): Promise<ReadyMessage> {
  const { startTimeoutMs, signal } = options;
  let timer: NodeJS.Timeout | undefined;
  let leave: () => void = () => undefined;
  try {
    return await new Promise<ReadyMessage>((resolve, reject) => {
      const refuse = (what: string) => reject(new StartFailure('unavailable', what));
      timer = setTimeout(
        () => refuse(`the token host did not start within ${startTimeoutMs} ms`),
        startTimeoutMs,
      );
      void exited.then((how) => refuse(`the token host ${how} before it was ready`));
      leave = () => refuse('the token host is not wanted any more');
      if (signal.aborted) leave();
      signal.addEventListener('abort', leave, { once: true });
      converse(child, options, (message) => {
        if (message.type === 'ready') resolve(message);
        else reject(new StartFailure(message.kind, message.message));
      });
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', leave);
  }
}

/** Tells the child to start, and hears what it says as long as it lives. */
function converse(
  child: ChildProcess,
  options: HostOptions,
  onStart: (outcome: ReadyMessage | FailedMessage) => void,
): void {
  const { sessions, onDefect } = options;
  const onNonsense = () => {
    onDefect('a token host said what makes no sense; it is killed');
    child.kill('SIGKILL');
  };
  const onMessage = (value: unknown) => {
    const message = hostMessage(value, sessions);
    if (!message) onNonsense();
    else if (message.type === 'defect') onDefect(message.stack);
    else onStart(message);
  };
  // A process that could not be spawned has no streams at all.
  const pipe = child.stdio?.[CONTROL_FD] as Socket | undefined;
  if (pipe) new ControlChannel(pipe, { onMessage, onNonsense }).send(startMessage(options));
}

/** Only what the child is to know: anything else in the options stays here. */
function startMessage(options: StartMessage): StartMessage {
  const { module, selector, expectedSerial, pin, adopt } = options;
  const { warmKeys, recheckMs, survey, sessions } = options;
  return { module, selector, expectedSerial, pin, adopt, warmKeys, recheckMs, survey, sessions };
}
