import { v1 } from '../rpc/proto.ts';
import { signedItem, verifiedItem } from './answers.ts';
import type { Limits } from './call-options.ts';
import type { Item, ItemForm } from './frame-codec.ts';
import type { Target } from './signing-calls.ts';
import type { SigningResult } from './signing-results.ts';
import type { UnaryCalls } from './unary-calls.ts';

const { Sign, Verify } = v1.SigningService.service;

/**
 * Sends an item in a call of its own: one that is far too large would break a stream, with every
 * frame on it, and one in a form of its own has no place in a frame.
 */
export async function submitLargeItem(
  calls: UnaryCalls,
  { operation, key, version }: Target,
  { data, signature, form }: Item,
  limits: Limits,
): Promise<SigningResult> {
  const request = {
    key,
    ...(form?.isDigest ? { digest: data } : { data }),
    ...(version !== undefined && { version }),
    ...(form && fieldsOf(form)),
  };
  if (operation === 'sign') {
    const answer = await calls.call(Sign, request, limits);
    return signedItem(answer, answer.signature ?? NOTHING);
  }
  const answer = await calls.call(Verify, { ...request, ...(signature && { signature }) }, limits);
  return verifiedItem(answer.valid === true ? (answer.version ?? 0) : 0);
}

function fieldsOf({ format, peerPublicKey, peerKey, dryRun }: ItemForm) {
  return {
    ...(format && { signatureFormat: format }),
    ...(peerPublicKey && { peerPublicKey }),
    ...(peerKey !== undefined && { peerKey }),
    ...(dryRun && { dryRun }),
  };
}

const NOTHING = new Uint8Array();
