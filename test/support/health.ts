import { once } from 'node:events';
import {
  Client,
  type ClientReadableStream,
  credentials,
  type MethodDefinition,
} from '@grpc/grpc-js';
import { service } from 'grpc-health-check';

interface HealthResponse {
  readonly status: string;
}

export interface HealthClient {
  /** @returns a status by its name */
  check(service: string): Promise<string>;
  watch(): { readonly ended: Promise<unknown> };
  close(): void;
}

/** A client of grpc.health.v1, by the definition that grpc-health-check ships. */
export function healthClient(address: string): HealthClient {
  const client = new Client(address, credentials.createInsecure());
  const check = service['Check'] as MethodDefinition<{ service: string }, HealthResponse>;
  const watch = service['Watch'] as MethodDefinition<{ service: string }, HealthResponse>;
  return {
    check: (name) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          check.path,
          check.requestSerialize,
          check.responseDeserialize,
          { service: name },
          { deadline: Date.now() + 5_000 },
          (error, response) => (error ? reject(error) : resolve(response?.status ?? '')),
        );
      }),
    watch: () => {
      const stream: ClientReadableStream<HealthResponse> = client.makeServerStreamRequest(
        watch.path,
        watch.requestSerialize,
        watch.responseDeserialize,
        { service: '' },
      );
      stream.on('error', () => undefined);
      stream.resume();
      return { ended: once(stream, 'close') };
    },
    close: () => client.close(),
  };
}
