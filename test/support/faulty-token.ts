import { createHmac, randomBytes } from 'node:crypto';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import type { Host } from '../../src/token-host/host.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import type { HostedTokenOptions } from '../../src/token-host/hosted-token-options.ts';
import { tellFigures } from './figures.ts';
import { startHostedToken } from './hosted-token.ts';
import { signOne } from './one-message.ts';
import { type Pkcs11Shim, pkcs11Shim } from './pkcs11-shim.ts';
import { createSoftHsm, type SoftHsm } from './softhsm.ts';
import { until } from './wait.ts';

const KEY = 'adopted-key';

/** What became of a call: the reason why it failed, or that it has the right MAC. */
export type Outcome = 'signed' | SigildError['reason'];

/** A token whose module makes faults, and the hosted tokens that tests start on it in turn. */
export class FaultyToken {
  readonly softHsm: SoftHsm;
  readonly shim: Pkcs11Shim;
  readonly #value = randomBytes(32);
  readonly #running: RunningToken[] = [];

  constructor() {
    this.softHsm = createSoftHsm();
    this.softHsm.writeKey({ label: KEY, value: this.#value });
    this.shim = pkcs11Shim(this.softHsm);
  }

  /**
   * Starts a hosted token that uses a key of known value, and waits for all of its hosts, also for
   * the one that changes the token.
   */
  async start(options: Partial<HostedTokenOptions> = {}): Promise<RunningToken> {
    const hosts = new Set<Host>();
    let writers = 0;
    const token = await startHostedToken(this.softHsm, {
      module: this.shim.module,
      environment: this.shim.environment,
      onTransition: (transition) => {
        if (transition.event === 'started') hosts.add(transition.host);
        if (transition.event === 'lost') hosts.delete(transition.host);
      },
      onWriterTransition: ({ event }) => {
        if (event === 'started') writers += 1;
      },
      ...options,
    });
    const running = new RunningToken(token, hosts, this.#value);
    this.#running.push(running);
    await until(() => hosts.size === (options.hosts ?? 2) && writers > 0);
    await running.findKey();
    return running;
  }

  /** Ends what runs, and all faults. */
  async reset(): Promise<void> {
    await Promise.all(this.#running.splice(0).map(({ token }) => token.close(2_000)));
    await this.shim.control();
  }

  remove(): void {
    tellFigures({ faults: this.shim.allFaults() });
    this.softHsm.remove();
  }
}

export class RunningToken {
  readonly token: HostedToken;
  /** The hosts that serve now. */
  readonly hosts: ReadonlySet<Host>;
  readonly #value: Buffer;
  #version: KeyVersion | undefined;

  constructor(token: HostedToken, hosts: ReadonlySet<Host>, value: Buffer) {
    this.token = token;
    this.hosts = hosts;
    this.#value = value;
  }

  async findKey(signal = deadline()): Promise<void> {
    const key = await this.token.findKey(KEY, signal);
    this.#version = key?.versions[0];
  }

  /** @throws {Error} when the MAC is wrong */
  async sign(signal = deadline()): Promise<Outcome> {
    if (!this.#version) throw new Error(`no key ${KEY}`);
    const data = randomBytes(64);
    try {
      const mac = await signOne(this.token, this.#version, data, signal);
      if (mac.equals(createHmac('sha256', this.#value).update(data).digest())) return 'signed';
    } catch (error) {
      if (error instanceof SigildError) return error.reason;
      throw error;
    }
    throw new Error('a wrong MAC');
  }

  /** Signs so often at the same time. @returns how many calls ended in which way */
  async signMany(calls: number): Promise<Partial<Record<Outcome, number>>> {
    const outcomes: Partial<Record<Outcome, number>> = {};
    for (const outcome of await Promise.all(Array.from({ length: calls }, () => this.sign()))) {
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    return outcomes;
  }

  /** Waits until it has as many hosts as before, and another one among them. */
  async hostsReplaced(before: ReadonlySet<Host>): Promise<void> {
    const isFresh = (host: Host) => !before.has(host);
    await until(() => this.hosts.size === before.size && [...this.hosts].some(isFresh));
  }
}

/** A caller's deadline. */
export function deadline(ms = 5_000): AbortSignal {
  const controller = new AbortController();
  const late = new SigildError('DEADLINE_EXCEEDED', `${ms} ms`);
  setTimeout(() => controller.abort(late), ms).unref();
  return controller.signal;
}
