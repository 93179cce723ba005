import { type Client, connect } from '../../src/client/client.ts';
import { signForSeconds } from './callers.ts';
import { meterCpu } from './process-figures.ts';
import type { Sample } from './rounds.ts';
import type { Context } from './scenario.ts';
import type { MeasuredServer } from './servers.ts';
import type { SignedMessage } from './signing-client.ts';

/**
 * They fill 4 of the 8 frames of 128 items that the client may have under way at once: as many as
 * two processors work on. With more, calls wait longer and hardly more are answered.
 */
const CALLERS = 512;

const WARM_UP_SECONDS = 3;

/** Many callers of the TypeScript client at once, in this process, which does nothing else. */
export class SdkLoad {
  readonly name: string;
  readonly #server: MeasuredServer;
  readonly #message: SignedMessage;
  readonly #context: Context;
  readonly #client: Client;

  private constructor(server: MeasuredServer, message: SignedMessage, context: Context) {
    this.name = server.name;
    this.#server = server;
    this.#message = message;
    this.#context = context;
    this.#client = connect({ address: server.unix });
    context.resources.add(() => this.#client.close());
  }

  /** @returns a load for a server that is warm already */
  static async prepare(
    server: MeasuredServer,
    message: SignedMessage,
    context: Context,
  ): Promise<SdkLoad> {
    context.progress(`warming up: ${server.name}`);
    const load = new SdkLoad(server, message, context);
    await load.prove();
    await load.#sign(WARM_UP_SECONDS);
    return load;
  }

  /** @throws {Error} when a call fails or a MAC is wrong */
  async run(): Promise<Sample> {
    const cpuTime = meterCpu({
      clientCpuUs: [process.pid],
      serverCpuUs: [this.#server.pid],
      hostsCpuUs: this.#server.hosts.map(({ pid }) => pid),
    });
    const { answers, sample } = await this.#sign(this.#context.seconds);
    return { ...sample, ...cpuTime(answers) };
  }

  /** @throws {Error} when the client does not verify the message, or verifies another */
  async prove(): Promise<void> {
    const { key, data, mac } = this.#message;
    const signer = this.#client.key(key);
    const tampered = Buffer.from(data);
    tampered[0] = ~(tampered[0] ?? 0);
    const right = await signer.verify(data, mac);
    const wrong = await signer.verify(tampered, mac);
    if (!right.valid || wrong.valid) throw new Error('the client does not verify rightly');
  }

  #sign(seconds: number) {
    const { key, data, mac } = this.#message;
    const signer = this.#client.key(key);
    return signForSeconds(
      { sign: () => signer.sign(data), mac },
      { callers: CALLERS, seconds, signal: this.#context.signal },
    );
  }
}
