import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  ALGORITHM_NAMES,
  type Algorithm,
  isAgreementAlgorithm,
  isPairAlgorithm,
  MAC_ALGORITHMS,
} from '../../src/domain/algorithm.ts';
import type { Cancellation } from '../../src/domain/cancellation.ts';
import { type ErrorReason, SigildError } from '../../src/domain/errors.ts';
import {
  groupByName,
  isDestroyed,
  type Key,
  type KeyVersion,
  type VersionRef,
  versionName,
} from '../../src/domain/key.ts';
import { type ImportKey, secretsOf, type WrappedKey } from '../../src/domain/key-import.ts';
import {
  isSameStamp,
  type KeyRecord,
  type RecordSubject,
  type Stamp,
  type StampedRecord,
  subjectName,
} from '../../src/domain/key-record.ts';
import { type KeyState, maySign, mayVerify } from '../../src/domain/key-state.ts';
import type { TokenInfo } from '../../src/domain/token-info.ts';
import { decodeVersionId } from '../../src/domain/version-id.ts';
import { stamped } from '../../src/service/change-record.ts';
import { untilAborted } from '../../src/service/deadline.ts';
import type { Token } from '../../src/service/ports.ts';
import type {
  Intent,
  KnownKeys,
  ListedKeys,
  NewKey,
  RecordChange,
  SignedData,
  TokenStream,
} from '../../src/service/token-values.ts';
import { aesCmac } from './aes-cmac.ts';
import { FakeAgreement } from './fake-agreement.ts';
import { FakePair } from './fake-pair.ts';
import { importPublicKey, unwrapSecret } from './secret-unwrapping.ts';

interface StoredKey {
  readonly version: KeyVersion;
  /** A secret key's value, or a pair. */
  readonly value: Buffer | FakePair | FakeAgreement;
}

type Method = keyof Token;

/** Of an id as hexadecimal digits: what tells requests apart. */
const TAG_DIGITS = 12;

const FACTS = {
  label: 'fake',
  serial: '0123456789abcdef',
  manufacturer: 'sigild',
  model: 'in memory',
  hardwareVersion: '1.0',
  firmwareVersion: '2.6',
  attributes: [
    { attribute: 'CKA_SIGN', enforced: true, found: 'refused' },
    { attribute: 'CKA_COPYABLE', enforced: false, found: 'copied' },
    { attribute: 'CKA_EXTRACTABLE', enforced: undefined, found: 'cannot be tried' },
  ],
  records: { kept: true, found: 'kept in memory' },
} as const satisfies Partial<TokenInfo>;

/** A token in memory that makes real MACs and fails as a test tells it to. */
export class FakeToken implements Token {
  /** How often each method got past its signal. */
  readonly calls: Record<Method, number> = {
    findKey: 0,
    listKeys: 0,
    check: 0,
    createKey: 0,
    createVersion: 0,
    makeImportKey: 0,
    setVersionState: 0,
    destroyVersion: 0,
    changeRecord: 0,
    removeRecords: 0,
    sign: 0,
    verify: 0,
    signAgreed: 0,
    verifyAgreed: 0,
    publicKeys: 0,
    signStream: 0,
    verifyStream: 0,
    info: 0,
    probe: 0,
  };
  /** False: every call fails with TOKEN_UNAVAILABLE. */
  isAvailable = true;
  /** How long a call keeps its session. */
  latencyMs = 0;
  /** How many calls may wait while the token is held. */
  maxWaiting = Number.POSITIVE_INFINITY;
  /** How many streams may be open, and how many are. */
  maxStreams = Number.POSITIVE_INFINITY;
  openStreams = 0;
  /** How many versions there is room for. */
  capacity = Number.POSITIVE_INFINITY;
  readonly unsupported = new Set<Algorithm>();
  /** False: as a token without data objects. */
  keepsRecords = true;
  readonly #records = new Map<string, StampedRecord>();
  readonly #stored = new Map<string, StoredKey>();
  readonly #importKeys = new Set<string>();
  readonly #failures = new Map<Method, unknown[]>();
  #released: Promise<void> | undefined;
  #waiting = 0;
  #mostWaiting = 0;
  #isClosed = false;

  /** The next calls of a method fail, one with each error; undefined lets one pass. */
  failNext(method: Method, ...errors: readonly unknown[]): void {
    this.#failures.set(method, [...(this.#failures.get(method) ?? []), ...errors]);
  }

  /** Keeps every call waiting, as a token does that hangs, until the returned function is called. */
  hold(): () => void {
    let release: () => void = () => undefined;
    this.#released = new Promise((resolve) => {
      release = resolve;
    });
    return () => {
      this.#released = undefined;
      release();
    };
  }

  /** How many calls wait while the token is held. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The most that ever waited at once. */
  get mostWaiting(): number {
    return this.#mostWaiting;
  }

  /** Every call from now on fails with SHUTTING_DOWN. */
  close(): void {
    this.#isClosed = true;
  }

  /** Puts a key there that another tool could have made. */
  writeKey(
    name: string,
    value: Buffer,
    algorithm: Algorithm = 'HMAC_SHA256',
    version = 1,
    id = randomBytes(16).toString('hex'),
  ): void {
    const unknown = {
      sensitive: true,
      extractable: false,
      alwaysSensitive: undefined,
      neverExtractable: undefined,
      local: false,
    };
    this.#store(
      {
        ...{ key: name, version, id, algorithm, state: 'ACTIVE' },
        ...{ createTimeMs: undefined, attributes: unknown },
      },
      value,
    );
  }

  /** Changes a version's state behind the back of whoever uses the token. */
  setState(id: string, state: KeyState): void {
    for (const stored of this.#withId(id)) {
      this.#store({ ...stored.version, state }, stored.value);
    }
  }

  /** Makes it hold a version as one that may not be destroyed. */
  forbidDestruction(id: string): void {
    for (const stored of this.#withId(id)) {
      this.#store({ ...stored.version, isDestroyable: false }, stored.value);
    }
  }

  /** How many versions it holds, whatever its records say. */
  get objects(): number {
    return this.#stored.size;
  }

  /** Destroys a version behind the back of whoever uses the token. */
  remove(id: string): void {
    for (const { version } of this.#withId(id)) this.#stored.delete(versionName(version));
  }

  findKey(name: string, signal: Cancellation): Promise<Key | undefined> {
    return this.#run('findKey', signal, () => this.#keys().find((key) => key.name === name));
  }

  listKeys(_known: KnownKeys | undefined, signal: Cancellation): Promise<ListedKeys> {
    const whole = { id: 'listing', isWhole: true, gone: [] };
    return this.#run('listKeys', signal, () => ({ ...whole, keys: this.#keys() }));
  }

  check(intent: Intent, signal: Cancellation): Promise<void> {
    return this.#run('check', signal, () => {
      if (intent.use === 'make-key' && this.#isTaken(intent.name))
        throw failure('KEY_ALREADY_EXISTS', `key ${intent.name} exists`);
      this.#assertSupported(intent.algorithm);
    });
  }

  createKey(wanted: NewKey, signal: Cancellation): Promise<Key> {
    return this.#run('createKey', signal, () => {
      const id = Buffer.from(wanted.id).toString('hex');
      const found = this.#keys().find((key) => key.name === wanted.name);
      if (found?.versions.some((version) => isRepeated(version, id))) return found;
      const number = decodeVersionId(wanted.id)?.version ?? 1;
      const isTaken = found?.versions.some(({ version }) => version >= number);
      if (found && (isTaken || !isDestroyed(found)))
        throw failure('KEY_ALREADY_EXISTS', `key ${wanted.name} exists`);
      this.#assertSupported(wanted.algorithm);
      const { name, settings } = wanted;
      if (settings) {
        this.#writeRecord({ kind: 'settings', key: name, id, version: number, settings });
      }
      this.#generate(wanted, id);
      return this.#present(name);
    });
  }

  createVersion(wanted: NewKey, signal: Cancellation): Promise<Key> {
    return this.#run('createVersion', signal, () => {
      const found = this.#keys().find((key) => key.name === wanted.name);
      const number = decodeVersionId(wanted.id)?.version;
      if (found?.versions.some(({ version }) => version === number)) return found;
      this.#generate(wanted, Buffer.from(wanted.id).toString('hex'));
      return this.#present(wanted.name);
    });
  }

  makeImportKey(algorithm: Algorithm, signal: Cancellation): Promise<ImportKey> {
    return this.#run('makeImportKey', signal, () => {
      this.#assertSupported(algorithm);
      const id = randomBytes(16).toString('hex');
      this.#importKeys.add(id);
      return { id, publicKey: importPublicKey(), wrapping: 'RSA_OAEP_SHA256_AES_256_KWP' };
    });
  }

  /** Forgets every import key, as a token does whose host has ended. */
  loseImportKeys(): void {
    this.#importKeys.clear();
  }

  setVersionState(ref: VersionRef, state: KeyState, signal: Cancellation): Promise<Key> {
    return this.#run('setVersionState', signal, () => {
      const stored = this.#stored.get(versionName(ref));
      if (!stored) throw failure('KEY_NOT_FOUND', `key ${ref.key} is not on the token`);
      this.#store({ ...stored.version, state }, stored.value);
      return this.#present(ref.key);
    });
  }

  destroyVersion({ key, id }: VersionRef, signal: Cancellation): Promise<boolean> {
    return this.#run('destroyVersion', signal, () => this.#stored.delete(versionName({ key, id })));
  }

  changeRecord(subject: RecordSubject, change: RecordChange, signal: Cancellation): Promise<void> {
    return this.#run('changeRecord', signal, () => {
      const record = change(this.#records.get(subjectName(subject))?.record);
      if (record) this.#writeRecord(record);
    });
  }

  removeRecords(key: string, stamps: readonly Stamp[], signal: Cancellation): Promise<void> {
    return this.#run('removeRecords', signal, () => {
      for (const [name, { record, stamp }] of this.#records) {
        const isMeant = stamps.some((meant) => isSameStamp(meant, stamp));
        if (record.key === key && isMeant) this.#records.delete(name);
      }
    });
  }

  sign(
    version: KeyVersion,
    batch: readonly Uint8Array[],
    signal: Cancellation,
    digests = false,
  ): Promise<readonly Uint8Array[]> {
    return this.#run('sign', signal, () => {
      const { version: found, value } = this.#usable(version, maySign);
      return batch.map((message) =>
        value instanceof FakePair
          ? value.sign(message, digests)
          : macOf(found.algorithm, secretOf(value), message),
      );
    });
  }

  verify(
    versions: readonly KeyVersion[],
    batch: readonly SignedData[],
    signal: Cancellation,
    digests = false,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    return this.#run('verify', signal, () =>
      batch.map((signed) =>
        versions.find((version) => isSigned(this.#usable(version, mayVerify), signed, digests)),
      ),
    );
  }

  signAgreed(
    version: KeyVersion,
    peer: Uint8Array,
    batch: readonly Uint8Array[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    return this.#run('signAgreed', signal, () => {
      const value = agreementOf(this.#usable(version, maySign));
      return batch.map((data) => value.mac(peer, data));
    });
  }

  verifyAgreed(
    versions: readonly KeyVersion[],
    peer: Uint8Array,
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    return this.#run('verifyAgreed', signal, () =>
      batch.map(({ data, mac }) =>
        versions.find((version) =>
          agreementOf(this.#usable(version, mayVerify)).mac(peer, data).equals(mac),
        ),
      ),
    );
  }

  publicKeys(
    versions: readonly KeyVersion[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    return this.#run('publicKeys', signal, () =>
      versions.map((version) => {
        const { value } = this.#usable(version, mayVerify);
        if (Buffer.isBuffer(value)) throw new Error('a secret key has no public key');
        return value.spki;
      }),
    );
  }

  signStream(version: KeyVersion, signal: Cancellation): Promise<TokenStream<Uint8Array>> {
    return this.#run('signStream', signal, () => {
      this.#usable(version, maySign);
      return this.#stream(signal, (data) => this.#mac(version, maySign, data));
    });
  }

  verifyStream(
    versions: readonly KeyVersion[],
    mac: Uint8Array,
    signal: Cancellation,
  ): Promise<TokenStream<KeyVersion | undefined>> {
    return this.#run('verifyStream', signal, () => {
      for (const version of versions) this.#usable(version, mayVerify);
      return this.#stream(signal, (data) => {
        const left = versions.filter((version) => this.#mayUse(version, mayVerify));
        if (left.length === 0) throw failure('KEY_STATE_FORBIDS', 'no version may verify now');
        return left.find((version) => timingSafeEqual(this.#mac(version, mayVerify, data), mac));
      });
    });
  }

  #mac(version: KeyVersion, allows: (state: KeyState) => boolean, data: Uint8Array): Buffer {
    const { value } = this.#usable(version, allows);
    if (value instanceof FakePair) throw new Error('messages are not streamed to key pairs');
    return macOf(version.algorithm, secretOf(value), data);
  }

  info(signal: Cancellation): Promise<TokenInfo> {
    return this.#run('info', signal, () => ({
      ...FACTS,
      algorithms: ALGORITHM_NAMES.map((algorithm) => ({
        algorithm,
        lacks: this.unsupported.has(algorithm) ? `CKM_FOR_${algorithm}` : undefined,
      })),
      hosts: [{ sessions: 1, warmth: { warm: false, why: 'it is in memory' } }],
    }));
  }

  probe(signal: Cancellation): Promise<void> {
    return this.#run('probe', signal, () => undefined);
  }

  async #run<Result>(method: Method, signal: Cancellation, work: () => Result): Promise<Result> {
    signal.throwIfAborted();
    this.calls[method] += 1;
    this.#assertOpen();
    const error = this.#failures.get(method)?.shift();
    if (error !== undefined) throw error;
    await this.#session(signal);
    this.#assertOpen();
    return work();
  }

  /** @param end makes the result of all pieces together */
  #stream<Result>(signal: Cancellation, end: (data: Buffer) => Result): TokenStream<Result> {
    if (this.openStreams >= this.maxStreams) throw failure('POOL_SATURATED', 'no more sessions');
    this.openStreams += 1;
    const pieces: Buffer[] = [];
    let isOpen = true;
    const abandon = () => {
      if (isOpen) this.openStreams -= 1;
      isOpen = false;
    };
    const step = async () => {
      signal.throwIfAborted();
      await this.#session(signal);
      this.#assertOpen();
    };
    return {
      update: async (piece) => {
        pieces.push(Buffer.from(piece));
        await step();
      },
      finish: async () => {
        await step();
        const result = end(Buffer.concat(pieces));
        abandon();
        return result;
      },
      abandon,
    };
  }

  async #session(signal: Cancellation): Promise<void> {
    if (this.#released !== undefined) {
      if (this.#waiting >= this.maxWaiting) throw failure('POOL_SATURATED', 'too many calls wait');
      this.#waiting += 1;
      this.#mostWaiting = Math.max(this.#mostWaiting, this.#waiting);
      await untilAborted(this.#released, signal).finally(() => {
        this.#waiting -= 1;
      });
    }
    if (this.latencyMs > 0) await untilAborted(pause(this.latencyMs), signal);
  }

  #assertOpen(): void {
    if (this.#isClosed) throw failure('SHUTTING_DOWN', 'the token is closed');
    if (!this.isAvailable) throw failure('TOKEN_UNAVAILABLE', 'the token cannot be reached');
  }

  #assertSupported(algorithm: Algorithm): void {
    if (!this.unsupported.has(algorithm)) return;
    throw failure('ALGORITHM_UNSUPPORTED', `the token lacks ${algorithm}`);
  }

  #isTaken(name: string): boolean {
    return [...this.#stored.values()].some(({ version }) => version.key === name);
  }

  #mayUse(version: KeyVersion, mayUse: (state: KeyState) => boolean): boolean {
    const stored = this.#stored.get(versionName(version));
    return stored !== undefined && mayUse(stored.version.state);
  }

  #usable(version: KeyVersion, mayUse: (state: KeyState) => boolean): StoredKey {
    const stored = this.#stored.get(versionName(version));
    if (!stored) throw failure('KEY_NOT_FOUND', `key ${version.key} is not on the token`);
    this.#assertSupported(stored.version.algorithm);
    if (mayUse(stored.version.state)) return stored;
    throw failure('KEY_STATE_FORBIDS', `key ${version.key} is ${stored.version.state}`);
  }

  #present(name: string): Key {
    const key = this.#keys().find((candidate) => candidate.name === name);
    if (!key) throw failure('KEY_NOT_FOUND', `key ${name} is not on the token`);
    return key;
  }

  #generate({ name, algorithm, id, wrapped }: NewKey, hexId: string): KeyVersion {
    this.#assertSupported(algorithm);
    const value = wrapped ? this.#unwrap(wrapped, algorithm) : newValue(algorithm);
    if (this.#stored.size >= this.capacity) throw failure('TOKEN_FULL', 'the token is full');
    const { version = 1, createTimeMs } = decodeVersionId(id) ?? {};
    const proven = {
      sensitive: true,
      extractable: false,
      alwaysSensitive: !wrapped,
      neverExtractable: !wrapped,
      local: !wrapped,
    };
    return this.#store(
      {
        ...{ key: name, version, id: hexId, algorithm, state: 'ACTIVE' },
        ...{ createTimeMs, attributes: proven },
      },
      value,
    );
  }

  #writeRecord(record: KeyRecord): void {
    if (!this.keepsRecords) throw failure('TOKEN_REFUSED', 'the token keeps no data objects');
    const name = subjectName(record);
    this.#records.set(name, stamped(record, this.#records.get(name)?.stamp));
  }

  #unwrap({ importKeyId, bytes }: WrappedKey, algorithm: Algorithm): Buffer {
    if (!this.#importKeys.delete(importKeyId)) throw failure('IMPORT_KEY_NOT_FOUND', 'not there');
    const value = unwrapSecret(Buffer.from(bytes));
    const { minBytes = 0, maxBytes = 0 } = secretsOf(algorithm) ?? {};
    if (value && value.byteLength >= minBytes && value.byteLength <= maxBytes) return value;
    throw failure('WRAPPED_KEY_INVALID', 'it cannot be unwrapped');
  }

  #store(version: KeyVersion, value: StoredKey['value']): KeyVersion {
    this.#stored.set(versionName(version), { version, value });
    return version;
  }

  #withId(id: string): StoredKey[] {
    return [...this.#stored.values()].filter(({ version }) => version.id === id);
  }

  #keys(): Key[] {
    const versions = [...this.#stored.values()].map(({ version }) => version);
    return groupByName(versions, [...this.#records.values()]);
  }
}

/** Whether the request with this id has made the version. */
function isRepeated({ id, state }: KeyVersion, requested: string): boolean {
  return state !== 'DESTROYED' && id.slice(-TAG_DIGITS) === requested.slice(-TAG_DIGITS);
}

function isSigned(
  { version, value }: StoredKey,
  { data, mac }: SignedData,
  digests: boolean,
): boolean {
  if (value instanceof FakePair) return value.isSigned(data, mac, digests);
  const expected = macOf(version.algorithm, secretOf(value), data);
  return expected.byteLength === mac.byteLength && timingSafeEqual(expected, mac);
}

function newValue(algorithm: Algorithm): StoredKey['value'] {
  if (isPairAlgorithm(algorithm)) return new FakePair(algorithm);
  if (isAgreementAlgorithm(algorithm)) return new FakeAgreement(algorithm);
  return randomBytes(MAC_ALGORITHMS[algorithm].keyBytes);
}

function secretOf(value: StoredKey['value']): Buffer {
  if (Buffer.isBuffer(value)) return value;
  throw new Error('it is no secret key');
}

function agreementOf({ value }: StoredKey): FakeAgreement {
  if (value instanceof FakeAgreement) return value;
  throw new Error('it agrees upon no keys');
}

function macOf(algorithm: Algorithm, value: Buffer, data: Uint8Array): Buffer {
  if (algorithm.endsWith('CMAC')) return aesCmac(value, data);
  const hash = algorithm.replace('HMAC_', '').replace('_', '-').toLowerCase();
  return createHmac(hash, value).update(data).digest();
}

function failure(reason: ErrorReason, message: string): SigildError {
  return new SigildError(reason, message);
}
