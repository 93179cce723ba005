import {
  ALGORITHMS,
  type Algorithm,
  DIGEST_BYTES,
  hashOf,
  isAgreementAlgorithm,
  signatureBytes,
} from '../domain/algorithm.ts';
import { derOfRaw, rawOfDer, type SignatureFormat } from '../domain/ecdsa-signature.ts';
import { fieldInvalid, SigildError } from '../domain/errors.ts';
import type { KeyVersion } from '../domain/key.ts';
import { assertPeer, type Peer } from './peer-keys.ts';
import { dataReserved, isReservedDigest } from './reserved-text.ts';
import type { SignedData } from './token-values.ts';

/** How a request gives its messages, and its signatures are written. */
export interface SignatureForm {
  /** Whether messages are given by their digests; not so when absent. */
  readonly digests?: boolean | undefined;
  /** Of ECDSA signatures alone; DER when absent. */
  readonly format?: SignatureFormat | undefined;
  /** With whom the key is agreed upon, for algorithms of agreement alone. */
  readonly peer?: Peer | undefined;
}

/** Versions whose signatures are read alike. */
export interface AlikeVersions {
  readonly versions: readonly KeyVersion[];
  /** @returns the signature as the token makes it; undefined when none of the versions makes such */
  readonly read: (signature: Uint8Array) => Uint8Array | undefined;
}

/**
 * @param messages digests, where the form says so
 * @throws {SigildError} FIELD_INVALID for what the algorithm does not have, DATA_RESERVED
 */
export function assertForm(
  algorithm: Algorithm,
  { digests, format, peer }: SignatureForm,
  messages: readonly Uint8Array[],
): void {
  assertPeer(algorithm, peer);
  if (format !== undefined && !isEcdsa(algorithm)) {
    throw fieldInvalid('signature_format', `${algorithm} has one form of signatures: leave it out`);
  }
  if (!digests) return;
  for (const digest of messages) assertDigest(algorithm, digest);
}

/** The versions whose algorithm has this form. */
export function ableVersions(
  versions: readonly KeyVersion[],
  form: SignatureForm,
  batch: readonly SignedData[],
): readonly KeyVersion[] {
  const isPlain = !form.digests && form.format === undefined && !form.peer;
  if (isPlain && !versions.some(({ algorithm }) => isAgreementAlgorithm(algorithm)))
    return versions;
  const messages = batch.map(({ data }) => data);
  return versions.filter(({ algorithm }) => hasForm(algorithm, form, messages));
}

/**
 * As {@link ableVersions}, of at least one version.
 *
 * @throws {SigildError} as {@link assertForm} of the newest one where none is able
 */
export function demandAble(
  versions: readonly KeyVersion[],
  form: SignatureForm,
  batch: readonly SignedData[],
): readonly KeyVersion[] {
  const able = ableVersions(versions, form, batch);
  const [newest] = versions;
  if (able.length > 0 || !newest) return able;
  assertForm(
    newest.algorithm,
    form,
    batch.map(({ data }) => data),
  );
  return able;
}

/** Signatures as they are written for the client. @param signatures as the token makes them */
export function written(
  algorithm: Algorithm,
  { format }: SignatureForm,
  signatures: readonly Uint8Array[],
): readonly Uint8Array[] {
  return isEcdsa(algorithm) && format !== 'RAW' ? signatures.map(derOfRaw) : signatures;
}

/** One group for all versions but those of ECDSA, which have one for each length of signatures. */
export function alikeVersions(
  versions: readonly KeyVersion[],
  { format }: SignatureForm,
): readonly AlikeVersions[] {
  const groups = new Map<number, KeyVersion[]>();
  for (const version of versions) {
    const key = isEcdsa(version.algorithm) ? signatureBytes(version.algorithm) : 0;
    const group = groups.get(key);
    if (group) group.push(version);
    else groups.set(key, [version]);
  }
  return [...groups].map(([bytes, alike]) => ({
    versions: alike,
    read: (signature) =>
      bytes > 0 && format !== 'RAW' ? rawOfDer(signature, bytes) : ifPossible(alike, signature),
  }));
}

/** Whether one of the versions can make a signature. */
export function isPossible(
  versions: readonly KeyVersion[],
  form: SignatureForm,
  { mac }: SignedData,
): boolean {
  return alikeVersions(versions, form).some(({ read }) => read(mac) !== undefined);
}

/**
 * What of a batch the versions may have signed, as the token takes it.
 *
 * @param results whose signature each message is; those of which that is known are left out
 * @returns with each message its place in the batch
 */
export function readable(
  { read }: AlikeVersions,
  batch: readonly SignedData[],
  results: readonly (KeyVersion | undefined)[],
): { readonly asked: readonly SignedData[]; readonly places: readonly number[] } {
  const asked: SignedData[] = [];
  const places: number[] = [];
  for (const [place, signed] of batch.entries()) {
    const mac = results[place] ? undefined : read(signed.mac);
    if (mac === undefined) continue;
    places.push(place);
    asked.push(mac === signed.mac ? signed : { data: signed.data, mac });
  }
  return { asked, places };
}

function ifPossible(
  versions: readonly KeyVersion[],
  signature: Uint8Array,
): Uint8Array | undefined {
  const { byteLength } = signature;
  const isPossible = versions.some(({ algorithm }) => signatureBytes(algorithm) === byteLength);
  return isPossible ? signature : undefined;
}

function hasForm(
  algorithm: Algorithm,
  form: SignatureForm,
  messages: readonly Uint8Array[],
): boolean {
  try {
    assertForm(algorithm, form, messages);
    return true;
  } catch (error) {
    if (error instanceof SigildError) return false;
    throw error;
  }
}

function assertDigest(algorithm: Algorithm, digest: Uint8Array): void {
  const hash = hashOf(algorithm);
  if (hash === undefined) throw fieldInvalid('digest', `${algorithm} takes data, and no digest`);
  const bytes = DIGEST_BYTES[hash];
  if (digest.byteLength !== bytes) {
    throw fieldInvalid('digest', `${algorithm} takes digests of ${bytes} bytes (${hash})`);
  }
  if (isReservedDigest(hash, digest)) throw dataReserved();
}

function isEcdsa(algorithm: Algorithm): boolean {
  const facts = ALGORITHMS[algorithm];
  return 'scheme' in facts && facts.scheme === 'ECDSA';
}
