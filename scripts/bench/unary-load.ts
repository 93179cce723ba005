import { type Load, type LoadSample, makeCalls } from './h2load.ts';
import { meterCpu } from './process-figures.ts';
import type { Sample } from './rounds.ts';
import type { Context } from './scenario.ts';
import type { MeasuredServer } from './servers.ts';
import type { SigningClient } from './signing-client.ts';

/** Calls that make a server's code warm; the last of these runs tells how fast it is. */
const WARM_UP_CALLS = [1_000, 20_000];

const LEAST_CALLS = 1_000;

/** A run may take this many times as long as the run before it lets expect. */
const PATIENCE = 10;
const LEAST_LIMIT_MS = 60_000;

/** Many callers of Sign at once, over the loopback port of one server. */
export class UnaryLoad {
  readonly name: string;
  readonly #server: MeasuredServer;
  readonly #context: Context;
  readonly #load: Load;
  #opsPerSecond = 0;

  private constructor(server: MeasuredServer, context: Context, load: Load) {
    this.name = server.name;
    this.#server = server;
    this.#context = context;
    this.#load = load;
  }

  /** @returns a load for a server that is warm already */
  static async prepare(
    server: MeasuredServer,
    client: SigningClient,
    context: Context,
  ): Promise<UnaryLoad> {
    context.progress(`warming up: ${server.name}`);
    const load = new UnaryLoad(server, context, {
      address: server.tcp,
      path: '/sigild.v1.SigningService/Sign',
      request: client.request,
      answerBytes: await client.answerBytes(),
      folder: context.resources.temporaryFolder(),
    });
    for (const calls of WARM_UP_CALLS) await load.#makeCalls(calls);
    return load;
  }

  /**
   * Makes about as many calls as the server answers in the context's seconds.
   *
   * @throws {Error} when one fails
   */
  async run(): Promise<Sample> {
    const calls = Math.max(LEAST_CALLS, Math.round(this.#opsPerSecond * this.#context.seconds));
    const cpuTime = meterCpu({
      serverCpuUs: [this.#server.pid],
      hostsCpuUs: this.#server.hosts.map(({ pid }) => pid),
    });
    const sample = await this.#makeCalls(calls);
    return { ...sample, ...cpuTime(calls) };
  }

  async #makeCalls(calls: number): Promise<LoadSample> {
    const expectedMs = this.#opsPerSecond > 0 ? (calls / this.#opsPerSecond) * 1_000 : 0;
    const limitMs = LEAST_LIMIT_MS + Math.ceil(expectedMs * PATIENCE);
    const sample = await makeCalls(this.#load, calls, limitMs, this.#context.signal);
    this.#opsPerSecond = sample.opsPerSecond;
    return sample;
  }
}
