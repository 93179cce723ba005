import { randomUUID } from 'node:crypto';
import type { Algorithm } from '../domain/algorithm.ts';
import { secondsAndNanos } from '../domain/duration.ts';
import type { UsageState } from '../domain/key-state.ts';
import { v1 } from '../rpc/proto.ts';
import { type CallOptions, type Limits, limitsOf } from './call-options.ts';
import { decodeKey, type Key } from './key-decoding.ts';
import type {
  ChangeOptions,
  CreateKeyOptions,
  ImportKeyOptions,
  RotateKeyOptions,
  ScheduleDestroyOptions,
} from './key-options.ts';
import {
  decodeJwks,
  decodePublicKey,
  type Jwks,
  type PublicKey,
  type PublicKeyOptions,
} from './public-keys.ts';
import { importSecret, type WrappedSecret } from './secret-import.ts';
import type { UnaryCalls } from './unary-calls.ts';

/** A page's keys have so few versions together that a message holds them. */
const PAGE_SIZE = 100;

/** The time for each call of an import that sets none: a busy token takes long for a key pair. */
const IMPORT_DEADLINE_MS = 30_000;

const {
  CreateKey,
  GetImportKey,
  GetKey,
  GetPublicKey,
  ImportKey,
  ListKeys,
  ListPublicKeys,
  Restore,
  RotateKey,
  ScheduleDestroy,
  UpdateKey,
  UpdateKeyVersion,
} = v1.KeyService.service;

/** Creates keys in the daemon's token, changes them and tells what stands there. */
export class Keys {
  readonly #calls: UnaryCalls;
  readonly #deadlineMs: number;

  constructor(calls: UnaryCalls, deadlineMs: number) {
    this.#calls = calls;
    this.#deadlineMs = deadlineMs;
  }

  /**
   * Generates a key inside the token.
   *
   * @throws {SigildError} KEY_ALREADY_EXISTS, ALGORITHM_UNSUPPORTED, ALGORITHM_DISABLED,
   *   TOKEN_REFUSED, TOKEN_FULL, FIELD_INVALID, PERMISSION_DENIED
   */
  async create(name: string, algorithm: Algorithm, options?: CreateKeyOptions): Promise<Key> {
    const { requestId = randomUUID(), rotationPeriodMs, destroyable, reuseName } = options ?? {};
    const request = {
      ...{ key: name, algorithm, requestId, ...tried(options) },
      ...(rotationPeriodMs !== undefined && { rotationPeriod: secondsAndNanos(rotationPeriodMs) }),
      ...(destroyable !== undefined && { destroyable }),
      ...(reuseName !== undefined && { reuseName }),
    };
    const { key } = await this.#calls.call(CreateKey, request, this.#limits(options));
    return decodeKey(key);
  }

  /**
   * Brings a secret into the token, wrapped so that nobody on the way sees it, the daemon neither. It
   * takes two calls, each within the deadline, which is 30 s where the client's is less; where the
   * daemon has lost the key that the secret was wrapped with, they are made once more.
   *
   * @throws {TypeError} when the secret is no Uint8Array
   * @throws {RangeError} when it has no length that the algorithm takes, or is no private key
   * @throws {SigildError} KEY_ALREADY_EXISTS, ALGORITHM_UNSUPPORTED, ALGORITHM_DISABLED,
   *   IMPORT_KEY_NOT_FOUND, TOKEN_REFUSED, TOKEN_FULL, FIELD_INVALID, PERMISSION_DENIED; with
   *   `newVersion` KEY_NOT_FOUND, KEY_AMBIGUOUS instead of KEY_ALREADY_EXISTS
   */
  async import(name: string, options: ImportKeyOptions): Promise<Key> {
    const { algorithm, secret, newVersion = false, keepActive = false } = options;
    const { requestId = randomUUID() } = options;
    const limits = limitsOf(options, Math.max(this.#deadlineMs, IMPORT_DEADLINE_MS));
    const calls = {
      getImportKey: () => this.#calls.call(GetImportKey, { algorithm }, limits),
      importKey: (wrapped: WrappedSecret) =>
        this.#calls.call(
          ImportKey,
          {
            ...{ key: name, algorithm, requestId, newVersion, keepActive },
            ...{ ...wrapped, ...tried(options) },
          },
          limits,
        ),
    };
    const { key } = await importSecret(calls, algorithm, secret);
    return decodeKey(key);
  }

  /** @throws {SigildError} KEY_NOT_FOUND, FIELD_INVALID, PERMISSION_DENIED */
  async get(name: string, options?: CallOptions): Promise<Key> {
    const { key } = await this.#calls.call(GetKey, { key: name }, this.#limits(options));
    return decodeKey(key);
  }

  /**
   * Every key that the client may list, in byte order of their names. Pages are read as they are
   * needed, each within the deadline.
   */
  async *list(options?: CallOptions): AsyncGenerator<Key, void, undefined> {
    let pageToken = '';
    do {
      const request = { pageSize: PAGE_SIZE, pageToken };
      const page = await this.#calls.call(ListKeys, request, this.#limits(options));
      for (const key of page.keys) yield decodeKey(key);
      pageToken = page.nextPageToken ?? '';
    } while (pageToken !== '');
  }

  /**
   * Makes the next version of a key, which signs from then on, and deactivates those before it.
   *
   * @returns the key as it stands then
   * @throws {SigildError} KEY_NOT_FOUND, KEY_AMBIGUOUS, ALGORITHM_UNSUPPORTED, ALGORITHM_DISABLED,
   *   TOKEN_REFUSED, TOKEN_FULL, FIELD_INVALID, PERMISSION_DENIED
   */
  async rotate(name: string, options?: RotateKeyOptions): Promise<Key> {
    const { requestId = randomUUID(), keepActive = false } = options ?? {};
    const request = { key: name, keepActive, requestId, ...tried(options) };
    const { key } = await this.#calls.call(RotateKey, request, this.#limits(options));
    return decodeKey(key);
  }

  /**
   * Changes a key's settings.
   *
   * @param settings `rotationPeriodMs` as in {@link CreateKeyOptions}; 0: the daemon does not rotate
   *   the key by itself any more
   * @returns the key as it stands then
   * @throws {SigildError} KEY_NOT_FOUND, TOKEN_REFUSED, TOKEN_FULL, FIELD_INVALID, PERMISSION_DENIED
   */
  async update(
    name: string,
    settings: { readonly rotationPeriodMs: number },
    options?: ChangeOptions,
  ): Promise<Key> {
    const rotationPeriod = secondsAndNanos(settings.rotationPeriodMs);
    const request = { key: name, rotationPeriod, ...tried(options) };
    const { key } = await this.#calls.call(UpdateKey, request, this.#limits(options));
    return decodeKey(key);
  }

  /**
   * Gives a version another state: of an ACTIVE one DEACTIVATED or SUSPENDED, of a SUSPENDED one
   * ACTIVE or DEACTIVATED.
   *
   * @returns the key as it stands then
   * @throws {SigildError} KEY_NOT_FOUND, KEY_VERSION_NOT_FOUND, KEY_STATE_FORBIDS, KEY_AMBIGUOUS,
   *   TOKEN_REFUSED, FIELD_INVALID, PERMISSION_DENIED
   */
  async updateVersion(
    name: string,
    version: number,
    state: UsageState,
    options?: ChangeOptions,
  ): Promise<Key> {
    const request = { key: name, version, state, ...tried(options) };
    const { key } = await this.#calls.call(UpdateKeyVersion, request, this.#limits(options));
    return decodeKey(key);
  }

  /**
   * Schedules the destruction of a DEACTIVATED or SUSPENDED version: from now on it neither signs nor
   * verifies. One that is scheduled already keeps its time.
   *
   * @returns the key as it stands then
   * @throws {RangeError} for a delay that is no whole number of milliseconds
   * @throws {SigildError} KEY_NOT_FOUND, KEY_VERSION_NOT_FOUND, KEY_STATE_FORBIDS, KEY_AMBIGUOUS,
   *   TOKEN_REFUSED, FIELD_INVALID for a delay that the daemon does not allow, PERMISSION_DENIED
   */
  async scheduleDestroy(
    name: string,
    version: number,
    options?: ScheduleDestroyOptions,
  ): Promise<Key> {
    const { delayMs } = options ?? {};
    const delay = delayMs === undefined ? {} : { delay: durationOf(delayMs) };
    const request = { key: name, version, ...delay, ...tried(options) };
    const { key } = await this.#calls.call(ScheduleDestroy, request, this.#limits(options));
    return decodeKey(key);
  }

  /**
   * Takes a scheduled destruction back: the version is SUSPENDED then.
   *
   * @returns the key as it stands then
   * @throws {SigildError} KEY_NOT_FOUND, KEY_VERSION_NOT_FOUND, KEY_STATE_FORBIDS, KEY_AMBIGUOUS,
   *   FIELD_INVALID, PERMISSION_DENIED
   */
  async restore(name: string, version: number, options?: ChangeOptions): Promise<Key> {
    const request = { key: name, version, ...tried(options) };
    const { key } = await this.#calls.call(Restore, request, this.#limits(options));
    return decodeKey(key);
  }

  /**
   * The public key of a key pair, with which anybody can verify what it signs.
   *
   * @throws {SigildError} KEY_NOT_FOUND, KEY_VERSION_NOT_FOUND, KEY_HAS_NO_PUBLIC_KEY,
   *   KEY_STATE_FORBIDS, KEY_AMBIGUOUS, TOKEN_REFUSED, FIELD_INVALID, PERMISSION_DENIED
   */
  async publicKey(name: string, options?: PublicKeyOptions): Promise<PublicKey> {
    const { version } = options ?? {};
    const request = { key: name, ...(version !== undefined && { version }) };
    const answer = await this.#calls.call(GetPublicKey, request, this.#limits(options));
    return decodePublicKey(answer.publicKey);
  }

  /**
   * The public keys of every version that may verify, of all keys that the client may list and read,
   * as a JWK Set to be served as it is.
   *
   * @throws {SigildError} PERMISSION_DENIED
   */
  async jwks(options?: CallOptions): Promise<Jwks> {
    const { jwks } = await this.#calls.call(ListPublicKeys, {}, this.#limits(options));
    return decodeJwks(jwks);
  }

  #limits(options: CallOptions | undefined): Limits {
    return limitsOf(options, this.#deadlineMs);
  }
}

function tried({ dryRun }: ChangeOptions = {}): { dryRun?: boolean } {
  return dryRun === undefined ? {} : { dryRun };
}

/** @throws {RangeError} */
function durationOf(delayMs: number) {
  if (Number.isSafeInteger(delayMs) && delayMs >= 0) {
    return secondsAndNanos(delayMs);
  }
  throw new RangeError('delayMs must be an integer that is not negative');
}
