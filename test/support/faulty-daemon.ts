import { createHmac, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type Client, connect } from '../../src/client/client.ts';
import { connectClient, type TestClient } from './client.ts';
import { baseConfig, type Daemon, type DaemonOptions, startDaemon } from './daemon.ts';
import { tellFigures } from './figures.ts';
import { checkHealth, connectHealth, type HealthClient } from './health-client.ts';
import { hostPids } from './host-pids.ts';
import { type Pkcs11Shim, pkcs11Shim } from './pkcs11-shim.ts';
import { createSoftHsm, type SoftHsm } from './softhsm.ts';
import { until } from './wait.ts';

/** What a signer throws that was given something else than the MAC of its data. */
export const WRONG_MAC = 'a wrong MAC';

/** How often health is asked for. */
const HEALTH_POLL_MS = 20;

export interface FaultyDaemonOptions extends DaemonOptions {
  /** Settings of the token that differ from those of other tests. */
  readonly token?: Readonly<Record<string, unknown>>;
  /** How many keys of known value there are; 1 when absent. */
  readonly keys?: number;
}

/** The built daemon on a token whose module makes faults. */
export class FaultyDaemon {
  readonly softHsm: SoftHsm;
  readonly shim: Pkcs11Shim;
  /** The TypeScript client, which repeats calls. */
  readonly client: Client;
  /** Without repetitions; each call has a deadline of 5 s. */
  readonly plain: TestClient;
  readonly health: HealthClient;
  readonly daemon: Daemon;
  readonly #values: readonly Buffer[];

  private constructor(token: FaultyToken, daemon: Daemon) {
    const [address = ''] = daemon.addresses;
    this.softHsm = token.softHsm;
    this.shim = token.shim;
    this.#values = token.values;
    this.daemon = daemon;
    this.client = connect({ address });
    this.plain = connectClient(address);
    this.health = connectHealth(address);
  }

  /** Starts it, and waits until every host has logged in. */
  static async start(options: FaultyDaemonOptions = {}): Promise<FaultyDaemon> {
    const token = createToken(options.keys ?? 1);
    try {
      const { softHsm, shim } = token;
      const base = baseConfig(softHsm);
      const settings = { ...Object(base['token']), module: shim.module, ...options.token };
      const daemon = await startDaemon(softHsm, {
        ...options,
        config: { ...base, ...options.config, token: settings },
        environment: { ...shim.environment, ...options.environment },
      });
      const faulty = new FaultyDaemon(token, daemon);
      await faulty.hostsServe(settings.hosts);
      return faulty;
    } catch (error) {
      token.softHsm.remove();
      throw error;
    }
  }

  get hosts(): readonly number[] {
    return hostPids(this.daemon);
  }

  get replacements(): number {
    return this.daemon.logLines.filter(({ msg }) => msg === 'a token host is replaced').length;
  }

  async hostsServe(hosts: number): Promise<void> {
    await until(() => this.hosts.length === hosts);
  }

  keyName(index: number): string {
    return `adopted-${index % this.#values.length}`;
  }

  /** Signs with one of the keys, with repetitions. @throws {Error} {@link WRONG_MAC} too */
  async sign(data: Buffer, index = 0, deadlineMs = 5_000): Promise<void> {
    const key = this.client.key(this.keyName(index));
    const { signature } = await key.sign(data, { deadlineMs });
    this.#compare(signature, data, index);
  }

  /** As {@link sign}, with one call and a deadline of 5 s. */
  async signOnce(data: Buffer, index = 0): Promise<void> {
    const { signature } = await this.plain.sign({ key: this.keyName(index), data });
    this.#compare(signature ?? Buffer.alloc(0), data, index);
  }

  /** @returns after how many ms the daemon said so @throws {Error} when it does not within the limit */
  async healthBecomes(status: string, limitMs: number): Promise<number> {
    const startMs = performance.now();
    for (;;) {
      const said = await checkHealth(this.health);
      const tookMs = performance.now() - startMs;
      if (said === status) return tookMs;
      if (tookMs > limitMs) throw new Error(`the daemon is ${said} after ${limitMs} ms`);
      await pause(HEALTH_POLL_MS);
    }
  }

  /** Ends all faults, and everything. */
  async remove(): Promise<void> {
    await this.shim.control();
    tellFigures({ faults: this.shim.allFaults() });
    this.plain.close();
    this.health.close();
    await this.client.close();
    await this.daemon.stop();
    this.softHsm.remove();
  }

  #compare(mac: Uint8Array, data: Buffer, index: number): void {
    const value = this.#values[index % this.#values.length] as Buffer;
    const expected = createHmac('sha256', value).update(data).digest();
    if (!expected.equals(mac)) throw new Error(WRONG_MAC);
  }
}

interface FaultyToken {
  readonly softHsm: SoftHsm;
  readonly shim: Pkcs11Shim;
  readonly values: readonly Buffer[];
}

function createToken(keys: number): FaultyToken {
  const softHsm = createSoftHsm();
  const values = Array.from({ length: keys }, () => randomBytes(32));
  for (const [index, value] of values.entries()) {
    softHsm.writeKey({ label: `adopted-${index}`, value });
  }
  return { softHsm, shim: pkcs11Shim(softHsm), values };
}
