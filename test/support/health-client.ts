import { type ClientReadableStream, credentials, makeClientConstructor } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';

interface HealthAnswer {
  readonly status: string;
}

type Callback = (error: Error | null, answer?: HealthAnswer) => void;

export interface HealthClient {
  check(request: { service: string }, callback: Callback): void;
  watch(request: { service: string }): ClientReadableStream<HealthAnswer>;
  close(): void;
}

export function connectHealth(address: string): HealthClient {
  const Health = makeClientConstructor(service, 'Health');
  return new Health(address, credentials.createInsecure()) as unknown as HealthClient;
}

export function checkHealth(client: HealthClient, name = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    client.check({ service: name }, (error, answer) => {
      if (error) reject(error);
      else resolve(answer?.status ?? '');
    });
  });
}

/** Collects what a Watch tells; `end` settles with the stream. */
export function watchHealth(client: HealthClient, name = '') {
  const statuses: string[] = [];
  const stream = client.watch({ service: name });
  stream.on('data', ({ status }: HealthAnswer) => statuses.push(status));
  const end = new Promise<Error | undefined>((resolve) => {
    stream.on('end', () => resolve(undefined)).on('error', resolve);
  });
  return { statuses, end, cancel: () => stream.cancel() };
}
