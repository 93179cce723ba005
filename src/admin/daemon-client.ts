import { Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Algorithm } from '../domain/algorithm.ts';
import { secondsAndNanos } from '../domain/duration.ts';
import type { UsageState } from '../domain/key-state.ts';
import { v1 } from '../rpc/proto.ts';
import { credentialsFor, parseAddress } from './daemon-address.ts';
import { daemonFailure } from './daemon-failure.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { type KeyDocument, keyDocument } from './key-documents.ts';
import type { Peer } from './peer-input.ts';
import { jsonObject, type PublicKeyDocument, publicKeyDocument } from './public-key-documents.ts';
import { type ServedTokenDocument, servedTokenDocument } from './served-token-documents.ts';
import {
  type SignatureDocument,
  signatureDocument,
  type VerificationDocument,
  verificationDocument,
} from './signing-documents.ts';

const { service: KEYS } = v1.KeyService;
const { service: SIGNING } = v1.SigningService;

/** A page's keys have so few versions together that a message holds them. */
const PAGE_SIZE = 100;

/**
 * Every call of sigild.v1 is safe to repeat, CreateKey and RotateKey by their request ids: one that a
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

interface KeyReference {
  readonly key: string;
  readonly version: number | undefined;
}

/** The daemon's API as sigilctl shows it. Every method throws a {@link CommandFailure}. */
export class DaemonClient {
  readonly #address: string;
  readonly #timeoutMs: number;
  readonly #client: Client;

  constructor(address: string, options: DaemonOptions) {
    const parsed = parseAddress(address);
    this.#address = address;
    this.#timeoutMs = options.timeoutMs;
    this.#client = new Client(parsed.target, credentialsFor(parsed, options), CHANNEL_OPTIONS);
  }

  async createKey(item: {
    readonly key: string;
    readonly algorithm: Algorithm;
    readonly reuseName: boolean;
    readonly requestId: string;
    /** 0 for none. */
    readonly rotationPeriodMs: number;
    readonly destroyable: boolean;
  }): Promise<KeyDocument> {
    const { rotationPeriodMs, ...request } = item;
    const rotationPeriod = secondsAndNanos(rotationPeriodMs);
    const { key } = await this.#call(KEYS.CreateKey, { ...request, rotationPeriod });
    return keyDocument(key);
  }

  async updateKey(item: {
    readonly key: string;
    /** 0 for none. */
    readonly rotationPeriodMs: number;
  }): Promise<KeyDocument> {
    const rotationPeriod = secondsAndNanos(item.rotationPeriodMs);
    const { key } = await this.#call(KEYS.UpdateKey, { key: item.key, rotationPeriod });
    return keyDocument(key);
  }

  async getKey(reference: KeyReference): Promise<KeyDocument> {
    const { key } = await this.#call(KEYS.GetKey, present(reference));
    return keyDocument(key);
  }

  async rotateKey(item: {
    readonly key: string;
    readonly keepActive: boolean;
    readonly requestId: string;
  }): Promise<KeyDocument> {
    const { key } = await this.#call(KEYS.RotateKey, item);
    return keyDocument(key);
  }

  async updateKeyVersion(item: {
    readonly key: string;
    readonly version: number;
    readonly state: UsageState;
  }): Promise<KeyDocument> {
    const { key } = await this.#call(KEYS.UpdateKeyVersion, item);
    return keyDocument(key);
  }

  async scheduleDestroy(item: {
    readonly key: string;
    readonly version: number;
    /** undefined: the daemon's configuration says. */
    readonly delayMs: number | undefined;
  }): Promise<KeyDocument> {
    const { delayMs, ...reference } = item;
    const delay = delayMs === undefined ? {} : { delay: secondsAndNanos(delayMs) };
    const { key } = await this.#call(KEYS.ScheduleDestroy, { ...reference, ...delay });
    return keyDocument(key);
  }

  async restore(item: { readonly key: string; readonly version: number }): Promise<KeyDocument> {
    const { key } = await this.#call(KEYS.Restore, item);
    return keyDocument(key);
  }

  /** Every page of them. */
  async listKeys(): Promise<KeyDocument[]> {
    const keys: KeyDocument[] = [];
    let pageToken = '';
    do {
      const page = await this.#call(KEYS.ListKeys, { pageSize: PAGE_SIZE, pageToken });
      keys.push(...page.keys.map(keyDocument));
      pageToken = page.nextPageToken ?? '';
    } while (pageToken !== '');
    return keys;
  }

  async getPublicKey(reference: KeyReference): Promise<PublicKeyDocument> {
    const { publicKey } = await this.#call(KEYS.GetPublicKey, present(reference));
    return publicKeyDocument(publicKey);
  }

  async getJwks(): Promise<object> {
    const { jwks } = await this.#call(KEYS.ListPublicKeys, {});
    return jsonObject(jwks);
  }

  async getTokenInfo(): Promise<ServedTokenDocument> {
    const { token } = await this.#call(KEYS.GetTokenInfo, {});
    return servedTokenDocument(token);
  }

  async sign(item: KeyReference & Peer & { readonly data: Buffer }): Promise<SignatureDocument> {
    return signatureDocument(item.key, await this.#call(SIGNING.Sign, present(item)));
  }

  async verify(
    item: KeyReference & Peer & { readonly data: Buffer; readonly signature: Buffer },
  ): Promise<VerificationDocument> {
    return verificationDocument(item.key, await this.#call(SIGNING.Verify, present(item)));
  }

  close(): void {
    this.#client.close();
  }

  #call<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const answered = (error: ServiceError | null, response?: Response) => {
        if (error) reject(daemonFailure(error, this.#address, this.#client.getChannel()));
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
}

/**
 * Runs work with a client of the daemon and closes it.
 *
 * @throws {CommandFailure}
 */
export async function withDaemon<Result>(
  address: string,
  options: DaemonOptions,
  work: (daemon: DaemonClient) => Promise<Result>,
): Promise<Result> {
  const daemon = new DaemonClient(address, options);
  try {
    return await work(daemon);
  } finally {
    daemon.close();
  }
}

/** An optional field that is not given is absent. */
function present<Item extends KeyReference>(
  item: Item,
): Omit<Item, 'version'> & { version?: number } {
  const { version, ...rest } = item;
  return version === undefined ? rest : { ...rest, version };
}
