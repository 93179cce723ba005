import { createPublicKey, randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import type { Algorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import { IMPORT_KEY_LIFE_MS, type ImportKey, MAX_IMPORT_KEYS } from '../domain/key-import.ts';
import { AttributeReader, type Handle, nativeTemplate, type Template } from './attributes.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import { destroyQuietly } from './key-creation.ts';
import { differingAttributes, KEY_PROOF } from './key-template.ts';
import { assertSupported, can } from './mechanisms.ts';
import { openSession, type Session, type Slot } from './session.ts';
import { findMethod, type Method, type RsaPair, type Unwrapping } from './unwrapping.ts';

/** As Cloud KMS has it. SoftHSM 2.6 makes such a pair in half a second, with a bit of luck. */
const MODULUS_BITS = 3_072;

const PUBLIC_EXPONENT = Buffer.from([1, 0, 1]);

const GENERATION = {
  type: pkcs11js.CKM_RSA_PKCS_KEY_PAIR_GEN,
  name: 'CKM_RSA_PKCS_KEY_PAIR_GEN',
};
const OAEP = { type: pkcs11js.CKM_RSA_PKCS_OAEP, name: 'CKM_RSA_PKCS_OAEP' };

/** Not a key name, so that no client can use it. */
const LABEL = 'sigild:import';

const ID_BYTES = 16;

interface HeldPair extends Unwrapping {
  readonly expiresAtMs: number;
}

/**
 * Key pairs to wrap keys with for the token. They are session objects, of a session that does nothing
 * else: nothing of them is ever left on the token, and a failure of other work does not cost them.
 */
export class ImportKeys {
  readonly #most: number;
  readonly #now: () => number;
  /** By id, the oldest first. */
  readonly #pairs = new Map<string, HeldPair>();
  #session: Session | undefined;
  /** Found out with the first pair. */
  #method: Method | undefined;

  constructor(most = MAX_IMPORT_KEYS, now = () => performance.now()) {
    this.#most = most;
    this.#now = now;
  }

  /** @throws {SigildError} as Token.makeImportKey @throws {CryptokiError} */
  make(slot: Slot, algorithm: Algorithm): ImportKey {
    assertSupported(slot, algorithm);
    assertCanImport(slot);
    this.#discardOldest(this.#most - 1);
    this.#session ??= openSession(slot);
    try {
      return this.#make(this.#session);
    } catch (error) {
      if (error instanceof CryptokiError) this.#close();
      throw error;
    }
  }

  /** @throws {SigildError} IMPORT_KEY_NOT_FOUND */
  get(id: string): Unwrapping {
    this.#discardOldest(this.#most);
    const pair = this.#pairs.get(id);
    if (pair) return pair;
    throw new SigildError(
      'IMPORT_KEY_NOT_FOUND',
      'the import key has expired, was used before, or the token has lost it; get a new one',
    );
  }

  /** It makes no difference whether it was there. */
  discard(id: string): void {
    const pair = this.#pairs.get(id);
    this.#pairs.delete(id);
    if (pair && this.#session) destroyQuietly(this.#session, [pair.privateKey]);
  }

  #make(session: Session): ImportKey {
    const pair = generatePair(session);
    this.#method ??= findMethod(session, pair);
    if (!this.#method) {
      destroyQuietly(session, [pair.privateKey]);
      throw unsupported('this token unwraps with CKM_RSA_PKCS_OAEP neither with SHA-256 nor SHA-1');
    }
    const id = randomBytes(ID_BYTES).toString('hex');
    const expiresAtMs = this.#now() + IMPORT_KEY_LIFE_MS;
    this.#pairs.set(id, { ...pair, ...this.#method, expiresAtMs });
    return { id, publicKey: pair.publicKey, wrapping: this.#method.wrapping };
  }

  /** Discards those that have expired, and the oldest of the others above a number. */
  #discardOldest(most: number): void {
    for (const [id, { expiresAtMs }] of this.#pairs) {
      if (this.#now() < expiresAtMs && this.#pairs.size <= most) return;
      this.discard(id);
    }
  }

  #close(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#pairs.clear();
    try {
      session?.close();
    } catch {
      // A session that the token has dropped already is as closed as it can be.
    }
  }
}

/** @throws {SigildError} ALGORITHM_UNSUPPORTED, naming the mechanism that the token lacks */
function assertCanImport(slot: Slot): void {
  if (!can(slot, GENERATION, pkcs11js.CKF_GENERATE_KEY_PAIR)) {
    throw unsupported(`this token has no ${GENERATION.name}`);
  }
  if (!can(slot, OAEP, pkcs11js.CKF_UNWRAP)) {
    throw unsupported(`this token has no ${OAEP.name} that unwraps`);
  }
}

function unsupported(why: string): SigildError {
  return new SigildError('ALGORITHM_UNSUPPORTED', `no key can be imported: ${why}`);
}

/** @throws {SigildError} TOKEN_REFUSED @throws {CryptokiError} */
function generatePair(session: Session): RsaPair {
  const { lib, handle } = session;
  const { publicKey, privateKey } = ck('C_GenerateKeyPair', () =>
    lib.C_GenerateKeyPair(
      handle,
      { mechanism: GENERATION.type },
      nativeTemplate(PUBLIC_KEY),
      nativeTemplate(PRIVATE_KEY),
    ),
  );
  try {
    const differing = differingAttributes(session, privateKey, PRIVATE_KEY, KEY_PROOF);
    if (differing.length === 0) return { privateKey, ...exportPublic(session, publicKey) };
    throw new SigildError(
      'TOKEN_REFUSED',
      `the token made the import key with another ${differing.join(', ')} than asked for`,
    );
  } catch (error) {
    destroyQuietly(session, [privateKey]);
    throw error;
  } finally {
    destroyQuietly(session, [publicKey]);
  }
}

function exportPublic(session: Session, key: Handle): Pick<RsaPair, 'publicKey' | 'modulusBytes'> {
  const types = [pkcs11js.CKA_MODULUS, pkcs11js.CKA_PUBLIC_EXPONENT];
  const attributes = new AttributeReader().read(session, key, types);
  const [n = '', e = ''] = types.map((type) => attributes.bytes(type)?.toString('base64url'));
  const publicKey = createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' });
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    modulusBytes: MODULUS_BITS / 8,
  };
}

const PUBLIC_KEY: Template = new Map<number, number | boolean | string | Buffer>([
  [pkcs11js.CKA_CLASS, pkcs11js.CKO_PUBLIC_KEY],
  [pkcs11js.CKA_KEY_TYPE, pkcs11js.CKK_RSA],
  [pkcs11js.CKA_LABEL, LABEL],
  [pkcs11js.CKA_TOKEN, false],
  [pkcs11js.CKA_MODULUS_BITS, MODULUS_BITS],
  [pkcs11js.CKA_PUBLIC_EXPONENT, PUBLIC_EXPONENT],
  [pkcs11js.CKA_WRAP, false],
  [pkcs11js.CKA_ENCRYPT, false],
  [pkcs11js.CKA_VERIFY, false],
]);

/** It unwraps and can do nothing else. */
const PRIVATE_KEY: Template = new Map<number, number | boolean | string>([
  [pkcs11js.CKA_CLASS, pkcs11js.CKO_PRIVATE_KEY],
  [pkcs11js.CKA_KEY_TYPE, pkcs11js.CKK_RSA],
  [pkcs11js.CKA_LABEL, LABEL],
  [pkcs11js.CKA_TOKEN, false],
  [pkcs11js.CKA_PRIVATE, true],
  [pkcs11js.CKA_SENSITIVE, true],
  [pkcs11js.CKA_EXTRACTABLE, false],
  [pkcs11js.CKA_UNWRAP, true],
  [pkcs11js.CKA_DECRYPT, false],
  [pkcs11js.CKA_SIGN, false],
  [pkcs11js.CKA_SIGN_RECOVER, false],
  [pkcs11js.CKA_DERIVE, false],
]);
