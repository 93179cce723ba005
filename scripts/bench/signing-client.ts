import { randomBytes } from 'node:crypto';
import type { SignResponse__Output } from '../../src/generated/sigild/v1/SignResponse.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { connectClient, type TestClient } from '../../test/support/client.ts';
import type { Resources } from './resources.ts';
import type { MeasuredServer } from './servers.ts';

const KEY = 'bench';
const DATA_BYTES = 256;

/** Data and the MAC that a server makes of it with a key. */
export interface SignedMessage {
  readonly key: string;
  readonly data: Uint8Array;
  readonly mac: Uint8Array;
}

/** A caller of Sign over a server's unix socket, always with the same key and data. */
export class SigningClient {
  readonly #client: TestClient;
  readonly #request = { key: KEY, data: randomBytes(DATA_BYTES) };

  constructor(server: MeasuredServer, resources: Resources) {
    this.#client = connectClient(server.unix);
    resources.add(() => this.#client.close());
  }

  /** Creates the key and proves that the server signs with it. */
  static async withKey(server: MeasuredServer, resources: Resources): Promise<SigningClient> {
    const client = new SigningClient(server, resources);
    await client.#client.createKey({ key: KEY, algorithm: 'HMAC_SHA256' });
    await client.prove();
    return client;
  }

  /** Its request as it travels. */
  get request(): Uint8Array {
    return v1.SignRequest.serialize(this.#request);
  }

  /** How long every answer to it is as it travels. */
  async answerBytes(): Promise<number> {
    return v1.SignResponse.serialize(await this.sign()).byteLength;
  }

  sign(): Promise<SignResponse__Output> {
    return this.#client.sign(this.#request);
  }

  async signedMessage(): Promise<SignedMessage> {
    const { signature = Buffer.alloc(0) } = await this.sign();
    return { ...this.#request, mac: signature };
  }

  /** @throws {Error} when what the server signs is not what it verifies, or it verifies anything */
  async prove(): Promise<void> {
    const { signature = Buffer.alloc(0) } = await this.sign();
    const wrong = Buffer.from(signature);
    wrong[0] = ~(wrong[0] ?? 0);
    const right = await this.#client.verify({ ...this.#request, signature });
    const tampered = await this.#client.verify({ ...this.#request, signature: wrong });
    if (!right.valid || tampered.valid) throw new Error('the server does not sign rightly');
  }
}
