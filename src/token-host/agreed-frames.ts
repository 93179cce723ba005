import type { VersionRef } from '../domain/key.ts';
import type { SignedData } from '../service/token-values.ts';
import {
  decodeSign,
  decodeVerify,
  encodeSign,
  encodeVerify,
  type SignPayload,
  type VerifyPayload,
} from './mac-frames.ts';
import { OPERATION } from './protocol.ts';

/** An uncompressed point, in front of what Sign and Verify carry. */
interface Peer {
  readonly peer: Buffer;
}

const NO_MAC = new Uint8Array();

/** As for Sign, with the peer's point as the first message. */
export function encodeSignAgreed(
  ref: VersionRef,
  peer: Uint8Array,
  batch: readonly Uint8Array[],
): Buffer {
  return encodeSign(ref, [peer, ...batch], OPERATION.signAgreed);
}

export function decodeSignAgreed(payload: Buffer): SignPayload & Peer {
  const { ref, batch } = decodeSign(payload);
  const [peer, ...messages] = batch;
  if (!peer) throw new Error('there is no peer');
  return { ref, peer, batch: messages };
}

/** As for Verify, with the peer's point as the first message, which has no MAC. */
export function encodeVerifyAgreed(
  refs: readonly VersionRef[],
  peer: Uint8Array,
  batch: readonly SignedData[],
): Buffer {
  return encodeVerify(refs, [{ data: peer, mac: NO_MAC }, ...batch], OPERATION.verifyAgreed);
}

export function decodeVerifyAgreed(payload: Buffer): VerifyPayload & Peer {
  const { refs, batch } = decodeVerify(payload);
  const [peer, ...messages] = batch;
  if (!peer) throw new Error('there is no peer');
  return { refs, peer: peer.data, batch: messages };
}
