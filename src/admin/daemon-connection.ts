import { Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import { sendStream } from '../client/send-stream.ts';
import type { CommandFailure } from './command-failure.ts';
import { credentialsFor, parseAddress } from './daemon-address.ts';
import { daemonFailure, stalled } from './daemon-failure.ts';
import type { DaemonOptions } from './daemon-options.ts';

/**
 * Every call of sigild.v1 is safe to repeat, what makes keys by its request id: one that a
 * broken connection or a lost token ended was made twice more at most, within its deadline.
 */
const SERVICE_CONFIG = {
  methodConfig: [
    {
      name: [{ service: 'sigild.v1.KeyService' }, { service: 'sigild.v1.SigningService' }],
      retryPolicy: {
        maxAttempts: 3,
        initialBackoff: '0.1s',
        maxBackoff: '1s',
        backoffMultiplier: 3,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
};

const CHANNEL_OPTIONS = {
  'grpc.service_config': JSON.stringify(SERVICE_CONFIG),
  // A name server has no say in how calls are made, and a proxy none in what the daemon is told.
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
};

/** What the generated definition of an rpc says. */
interface UnaryMethod<Request, Response> {
  readonly path: string;
  requestSerialize(request: Request): Buffer;
  responseDeserialize(bytes: Buffer): Response;
}

/** Makes the calls of {@link DaemonClient}. Every method throws a {@link CommandFailure}. */
export class DaemonConnection {
  readonly #address: string;
  readonly #timeoutMs: number;
  readonly #client: Client;

  constructor(address: string, options: DaemonOptions) {
    const parsed = parseAddress(address);
    this.#address = address;
    this.#timeoutMs = options.timeoutMs;
    this.#client = new Client(parsed.target, credentialsFor(parsed, options), CHANNEL_OPTIONS);
  }

  close(): void {
    this.#client.close();
  }

  /** A message in pieces. */
  send<Message, Response>(
    method: UnaryMethod<Message, Response>,
    contents: AsyncIterable<Message>,
  ): Promise<Response> {
    return sendStream(this.#client, method, contents, {
      failureOf: (error) => this.#failureOf(error),
      stall: { limitMs: this.#timeoutMs, failure: () => stalled(this.#address) },
    });
  }

  call<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const answered = (error: ServiceError | null, response?: Response) => {
        if (error) reject(this.#failureOf(error));
        else resolve(response as Response);
      };
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        { deadline: Date.now() + this.#timeoutMs },
        answered,
      );
    });
  }

  #failureOf(error: ServiceError): CommandFailure {
    return daemonFailure(error, this.#address, this.#client.getChannel());
  }
}
