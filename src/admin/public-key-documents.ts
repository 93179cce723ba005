import type { PublicKey__Output } from '../generated/sigild/v1/PublicKey.ts';
import { CommandFailure } from './command-failure.ts';
import { enumText } from './key-documents.ts';

/** `key export-public -o json` */
export interface PublicKeyDocument {
  readonly key: string;
  readonly version: number;
  readonly versionId: string;
  readonly algorithm: string;
  readonly pem: string;
  /** SubjectPublicKeyInfo in base64. */
  readonly der: string;
  readonly jwk: object;
}

/** @throws {CommandFailure} INTERNAL for an answer without the key */
export function publicKeyDocument(publicKey: PublicKey__Output | undefined): PublicKeyDocument {
  if (!publicKey?.der) throw new CommandFailure('INTERNAL', 'the daemon answered without the key');
  return {
    key: publicKey.key ?? '',
    version: publicKey.version ?? 0,
    versionId: publicKey.versionId ?? '',
    algorithm: enumText(publicKey.algorithm),
    pem: publicKey.pem ?? '',
    der: publicKey.der.toString('base64'),
    jwk: jsonObject(publicKey.jwk),
  };
}

/** @throws {CommandFailure} INTERNAL for what is no JSON */
export function jsonObject(text = ''): object {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CommandFailure('INTERNAL', 'the daemon answered with what is no JSON', {
      cause: error,
    });
  }
}
