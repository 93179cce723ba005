import { importSecret, type WrappedSecret } from '../client/secret-import.ts';
import { contentOf, type DataSource } from '../client/send-stream.ts';
import type { Algorithm } from '../domain/algorithm.ts';
import { secondsAndNanos } from '../domain/duration.ts';
import type { UsageState } from '../domain/key-state.ts';
import { v1 } from '../rpc/proto.ts';
import { DaemonConnection } from './daemon-connection.ts';
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

interface KeyReference {
  readonly key: string;
  readonly version: number | undefined;
}

/** The daemon's API as sigilctl shows it. Every method throws a {@link CommandFailure}. */
export class DaemonClient {
  readonly #connection: DaemonConnection;

  constructor(address: string, options: DaemonOptions) {
    this.#connection = new DaemonConnection(address, options);
  }

  async createKey(item: {
    readonly key: string;
    readonly algorithm: Algorithm;
    readonly reuseName: boolean;
    readonly requestId: string;
    /** 0 for none. */
    readonly rotationPeriodMs: number;
    readonly destroyable: boolean;
    readonly dryRun?: boolean;
  }): Promise<KeyDocument> {
    const { rotationPeriodMs, ...request } = item;
    const rotationPeriod = secondsAndNanos(rotationPeriodMs);
    const { key } = await this.#connection.call(KEYS.CreateKey, { ...request, rotationPeriod });
    return keyDocument(key);
  }

  async updateKey(item: {
    readonly key: string;
    /** 0 for none. */
    readonly rotationPeriodMs: number;
    readonly dryRun?: boolean;
  }): Promise<KeyDocument> {
    const { rotationPeriodMs, ...request } = item;
    const rotationPeriod = secondsAndNanos(rotationPeriodMs);
    const { key } = await this.#connection.call(KEYS.UpdateKey, { ...request, rotationPeriod });
    return keyDocument(key);
  }

  /** @throws {RangeError} for a secret that the algorithm does not take */
  async importKey({
    secret,
    ...item
  }: {
    readonly key: string;
    readonly algorithm: Algorithm;
    readonly secret: Buffer;
    readonly requestId: string;
    readonly newVersion: boolean;
    readonly keepActive: boolean;
    readonly dryRun: boolean;
  }): Promise<KeyDocument> {
    const { algorithm } = item;
    const calls = {
      getImportKey: () => this.#connection.call(KEYS.GetImportKey, { algorithm }),
      importKey: (wrapped: WrappedSecret) =>
        this.#connection.call(KEYS.ImportKey, { ...item, ...wrapped }),
    };
    const { key } = await importSecret(calls, algorithm, secret);
    return keyDocument(key);
  }

  async getKey(reference: KeyReference): Promise<KeyDocument> {
    const { key } = await this.#connection.call(KEYS.GetKey, present(reference));
    return keyDocument(key);
  }

  async rotateKey(item: {
    readonly key: string;
    readonly keepActive: boolean;
    readonly requestId: string;
    readonly dryRun: boolean;
  }): Promise<KeyDocument> {
    const { key } = await this.#connection.call(KEYS.RotateKey, item);
    return keyDocument(key);
  }

  async updateKeyVersion(item: {
    readonly key: string;
    readonly version: number;
    readonly state: UsageState;
    readonly dryRun: boolean;
  }): Promise<KeyDocument> {
    const { key } = await this.#connection.call(KEYS.UpdateKeyVersion, item);
    return keyDocument(key);
  }

  async scheduleDestroy(item: {
    readonly key: string;
    readonly version: number;
    /** undefined: the daemon's configuration says. */
    readonly delayMs: number | undefined;
    readonly dryRun: boolean;
  }): Promise<KeyDocument> {
    const { delayMs, ...reference } = item;
    const delay = delayMs === undefined ? {} : { delay: secondsAndNanos(delayMs) };
    const { key } = await this.#connection.call(KEYS.ScheduleDestroy, { ...reference, ...delay });
    return keyDocument(key);
  }

  async restore(item: {
    readonly key: string;
    readonly version: number;
    readonly dryRun: boolean;
  }): Promise<KeyDocument> {
    const { key } = await this.#connection.call(KEYS.Restore, item);
    return keyDocument(key);
  }

  /** Every page of them. */
  async listKeys(): Promise<KeyDocument[]> {
    const keys: KeyDocument[] = [];
    let pageToken = '';
    do {
      const page = await this.#connection.call(KEYS.ListKeys, { pageSize: PAGE_SIZE, pageToken });
      keys.push(...page.keys.map(keyDocument));
      pageToken = page.nextPageToken ?? '';
    } while (pageToken !== '');
    return keys;
  }

  async getPublicKey(reference: KeyReference): Promise<PublicKeyDocument> {
    const { publicKey } = await this.#connection.call(KEYS.GetPublicKey, present(reference));
    return publicKeyDocument(publicKey);
  }

  async getJwks(): Promise<object> {
    const { jwks } = await this.#connection.call(KEYS.ListPublicKeys, {});
    return jsonObject(jwks);
  }

  async getTokenInfo(): Promise<ServedTokenDocument> {
    const { token } = await this.#connection.call(KEYS.GetTokenInfo, {});
    return servedTokenDocument(token);
  }

  async sign(
    item: KeyReference & Peer & { readonly data: Buffer; readonly dryRun: boolean },
  ): Promise<SignatureDocument> {
    return signatureDocument(item.key, await this.#connection.call(SIGNING.Sign, present(item)));
  }

  async verify(
    item: KeyReference &
      Peer & { readonly data: Buffer; readonly signature: Buffer; readonly dryRun: boolean },
  ): Promise<VerificationDocument> {
    return verificationDocument(
      item.key,
      await this.#connection.call(SIGNING.Verify, present(item)),
    );
  }

  /** As {@link sign}, of data that are not read as a whole. */
  async signStream(reference: KeyReference, source: DataSource): Promise<SignatureDocument> {
    const contents = contentOf(present(reference), source);
    return signatureDocument(
      reference.key,
      await this.#connection.send(SIGNING.SignStream, contents),
    );
  }

  /** As {@link verify}, of data that are not read as a whole. */
  async verifyStream(
    item: KeyReference & { readonly signature: Buffer },
    source: DataSource,
  ): Promise<VerificationDocument> {
    const contents = contentOf(present(item), source);
    return verificationDocument(
      item.key,
      await this.#connection.send(SIGNING.VerifyStream, contents),
    );
  }

  close(): void {
    this.#connection.close();
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
