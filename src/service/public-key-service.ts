import { hasTwoHalves, isPairAlgorithm } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { type ErrorReason, SigildError } from '../domain/errors.ts';
import { type Key, type KeyVersion, primaryOf, verifyingVersions } from '../domain/key.ts';
import { mayVerify } from '../domain/key-state.ts';
import { type AccessPolicy, keyNotFound } from './access-policy.ts';
import type { RequestContext } from './caller.ts';
import { untilAborted } from './deadline.ts';
import type { KeyCatalog } from './key-catalog.ts';
import type { Token } from './ports.ts';
import { type PublicKey, publicKeyOf } from './public-key.ts';

export interface PublicKeyServiceOptions {
  readonly token: Pick<Token, 'publicKeys'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
}

/** Why a version has no public key that could be listed; whoever asks for it alone is told. */
const LEFT_OUT: ReadonlySet<ErrorReason> = new Set<ErrorReason>([
  'KEY_AMBIGUOUS',
  'KEY_NOT_FOUND',
  'KEY_STATE_FORBIDS',
  'TOKEN_REFUSED',
]);

/** GetPublicKey and ListPublicKeys: what others need to verify what key pairs have signed. */
export class PublicKeyService {
  readonly #token: PublicKeyServiceOptions['token'];
  readonly #catalog: KeyCatalog;
  readonly #policy: AccessPolicy;

  constructor({ token, catalog, policy }: PublicKeyServiceOptions) {
    this.#token = token;
    this.#catalog = catalog;
    this.#policy = policy;
  }

  /**
   * @param version undefined: the primary one
   * @throws {SigildError} PERMISSION_DENIED, KEY_NOT_FOUND, KEY_VERSION_NOT_FOUND, KEY_AMBIGUOUS,
   *   KEY_STATE_FORBIDS, KEY_HAS_NO_PUBLIC_KEY, and as {@link Token.publicKeys}
   */
  async getPublicKey(
    { client, signal }: RequestContext,
    name: string,
    version: number | undefined,
  ): Promise<PublicKey> {
    this.#policy.authorize(client, 'getPublicKey', name);
    const key = await this.#catalog.find(name, signal, 0);
    if (!key) throw keyNotFound(name);
    const [chosen] = verifyingVersions(key, version ?? primaryOf(key)?.version);
    if (chosen && hasTwoHalves(chosen.algorithm)) return this.#read(chosen, signal);
    throw new SigildError(
      'KEY_HAS_NO_PUBLIC_KEY',
      `key ${name} makes MACs (${chosen?.algorithm}): there is nothing to verify with but the key`,
    );
  }

  /**
   * Those of all versions that may verify, of the keys that the client may list and read: in byte
   * order of names, newest version first. Reads the token anew.
   *
   * @throws {SigildError} PERMISSION_DENIED, and as {@link Token.listKeys}
   */
  async listPublicKeys({ client, signal }: RequestContext): Promise<readonly PublicKey[]> {
    const listable = this.#policy.listable(client);
    signal.throwIfAborted();
    await untilAborted(this.#catalog.refresh(), signal);
    const versions = this.#catalog
      .all()
      .filter(({ name }) => listable(name) && this.#policy.allows(client, 'getPublicKey', name))
      .flatMap(publishable);
    const found: PublicKey[] = [];
    for (const version of versions) found.push(...(await this.#readPresent(version, signal)));
    return found;
  }

  async #read(version: KeyVersion, signal: Cancellation): Promise<PublicKey> {
    const [spki] = await this.#token.publicKeys([version], signal);
    return publicKeyOf(version, spki ?? new Uint8Array());
  }

  async #readPresent(version: KeyVersion, signal: Cancellation): Promise<readonly PublicKey[]> {
    try {
      return [await this.#read(version, signal)];
    } catch (error) {
      if (error instanceof SigildError && LEFT_OUT.has(error.reason)) return [];
      throw error;
    }
  }
}

/** Not those of agreement keys, which verify no signatures. */
function publishable({ versions }: Key): readonly KeyVersion[] {
  return versions.filter(({ algorithm, state }) => isPairAlgorithm(algorithm) && mayVerify(state));
}
