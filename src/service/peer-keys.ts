import { createPublicKey } from 'node:crypto';
import {
  type AgreementFacts,
  ALGORITHMS,
  type Algorithm,
  hasTwoHalves,
  isAgreementAlgorithm,
} from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { fieldInvalid } from '../domain/errors.ts';
import { primaryOf, verifyingVersions } from '../domain/key.ts';
import { type AccessPolicy, keyNotFound } from './access-policy.ts';
import type { RequestContext } from './caller.ts';
import type { KeyCatalog } from './key-catalog.ts';
import type { Token } from './ports.ts';

/** How a request names the peer with whom a key is agreed upon. */
export type PeerName =
  /** SubjectPublicKeyInfo in DER. */
  | { readonly publicKey: Uint8Array }
  /** The name of a key pair whose public key it is. */
  | { readonly key: string };

/** A peer's public key, which is a point of its curve. */
export interface Peer {
  readonly curve: AgreementFacts['curve'];
  /** Uncompressed. */
  readonly point: Uint8Array;
  /** The field of the request that named it. */
  readonly field: PeerField;
}

type PeerField = 'peer_public_key' | 'peer_key';

export interface PeerKeysOptions {
  readonly token: Pick<Token, 'publicKeys'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
}

interface SpkiForm {
  readonly curve: AgreementFacts['curve'];
  /** What stands before the coordinates, the tag of an uncompressed point included. */
  readonly prefix: Buffer;
  readonly coordinateBytes: number;
}

const POINT_TAG_BYTES = 1;

/** The one way in which DER writes a key of a named curve with an uncompressed point. */
const SPKI_FORMS: readonly SpkiForm[] = [
  {
    curve: 'P-256',
    prefix: Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex'),
    coordinateBytes: 32,
  },
  {
    curve: 'P-384',
    prefix: Buffer.from('3076301006072a8648ce3d020106052b8104002203620004', 'hex'),
    coordinateBytes: 48,
  },
  {
    curve: 'P-521',
    prefix: Buffer.from('30819b301006072a8648ce3d020106052b810400230381860004', 'hex'),
    coordinateBytes: 66,
  },
];

/** Finds the public keys of peers, and lets none pass that is no point of its curve. */
export class PeerKeys {
  readonly #token: PeerKeysOptions['token'];
  readonly #catalog: KeyCatalog;
  readonly #policy: AccessPolicy;

  constructor({ token, catalog, policy }: PeerKeysOptions) {
    this.#token = token;
    this.#catalog = catalog;
    this.#policy = policy;
  }

  /**
   * @throws {SigildError} FIELD_INVALID; for a key's name also PERMISSION_DENIED, KEY_NOT_FOUND,
   *   KEY_STATE_FORBIDS, KEY_AMBIGUOUS, and as {@link Token.publicKeys}
   */
  async find({ client, signal }: RequestContext, peer: PeerName): Promise<Peer> {
    if ('publicKey' in peer) return peerOf(peer.publicKey, 'peer_public_key');
    this.#policy.authorize(client, 'getPublicKey', peer.key);
    return peerOf(await this.#spkiOf(peer.key, signal), 'peer_key');
  }

  async #spkiOf(name: string, signal: Cancellation): Promise<Uint8Array> {
    const key = await this.#catalog.find(name, signal);
    if (!key) throw keyNotFound(name);
    const [version] = verifyingVersions(key, primaryOf(key)?.version);
    if (!version || !hasTwoHalves(version.algorithm)) {
      throw fieldInvalid('peer_key', `key ${name} has no public key (${version?.algorithm})`);
    }
    const [spki] = await this.#token.publicKeys([version], signal);
    return spki ?? new Uint8Array();
  }
}

/**
 * @throws {SigildError} FIELD_INVALID for a peer where the algorithm takes none, for none where it needs
 *   one, and for one of another curve
 */
export function assertPeer(algorithm: Algorithm, peer: Peer | undefined): void {
  if (!isAgreementAlgorithm(algorithm)) {
    if (!peer) return;
    throw fieldInvalid(peer.field, `${algorithm} agrees upon no keys: leave it out`);
  }
  if (!peer) {
    throw fieldInvalid(
      'peer_public_key',
      `${algorithm} makes MACs with a peer: give peer_public_key or peer_key, which Sign and Verify alone have`,
    );
  }
  const { curve } = ALGORITHMS[algorithm];
  if (peer.curve === curve) return;
  throw fieldInvalid(peer.field, `is a key on ${peer.curve}; ${algorithm} needs one on ${curve}`);
}

/**
 * Compares bytes before anything else reads them: Node 20.20 aborts on the point at infinity.
 *
 * @throws {SigildError} FIELD_INVALID
 */
function peerOf(spki: Uint8Array, field: PeerField): Peer {
  const bytes = Buffer.from(spki.buffer, spki.byteOffset, spki.byteLength);
  const form = SPKI_FORMS.find(({ prefix }) => bytes.subarray(0, prefix.length).equals(prefix));
  if (!form || bytes.byteLength !== form.prefix.length + 2 * form.coordinateBytes) {
    throw fieldInvalid(
      field,
      'must be SubjectPublicKeyInfo in DER of a key on P-256, P-384 or P-521, with an uncompressed point',
    );
  }
  if (!isOnCurve(bytes)) throw fieldInvalid(field, `is no point of ${form.curve}`);
  return { curve: form.curve, point: bytes.subarray(form.prefix.length - POINT_TAG_BYTES), field };
}

function isOnCurve(spki: Buffer): boolean {
  try {
    createPublicKey({ key: spki, format: 'der', type: 'spki' });
    return true;
  } catch {
    // What it says of a bad point differs from version to version.
    return false;
  }
}
