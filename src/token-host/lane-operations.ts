import type { KeptHead } from '../domain/audit-seal.ts';
import type { VersionRef } from '../domain/key.ts';
import { AgreedMacs } from '../pkcs11/agreed-macs.ts';
import { auditKey, auditMac, findAuditHeads, keepAuditHead } from '../pkcs11/audit-objects.ts';
import { checkIntent } from '../pkcs11/intent-check.ts';
import { KeyChanges } from '../pkcs11/key-changes.ts';
import type { MacStreams } from '../pkcs11/mac-streams.ts';
import type { Session } from '../pkcs11/session.ts';
import type { TokenSession } from '../pkcs11/token-session.ts';
import { decodeSignAgreed, decodeVerifyAgreed } from './agreed-frames.ts';
import type { Frame } from './frames.ts';
import type { TextToSign } from './hosted-audit.ts';
import { decodeSign, decodeVerify, encodeAnswer, encodeIndexes } from './mac-frames.ts';
import {
  decodeJson,
  decodeNewKey,
  encodeEmpty,
  encodeImportKey,
  encodeJson,
  OPERATION,
  OUTCOME,
  publicKeysAnswer,
  type RecordRemoval,
  type StateChange,
} from './protocol.ts';
import { decodeStreamPiece, type StreamEnd, type StreamOpening } from './stream-frames.ts';

/** What a lane works with. */
export interface LaneMeans {
  readonly session: TokenSession;
  readonly streams: MacStreams;
}

/** Does what a request frame asks for. @returns the answer's frame @throws {SigildError} */
export function perform(means: LaneMeans, { code, payload }: Frame): Buffer {
  const { session } = means;
  if (code === OPERATION.sign || code === OPERATION.signDigests) {
    const { ref, batch } = decodeSign(payload);
    const { result, fingerprints } = session.sign(ref, batch, code === OPERATION.signDigests);
    return encodeAnswer(Buffer.concat(result), fingerprints);
  }
  if (code === OPERATION.verify || code === OPERATION.verifyDigests) {
    const { refs, batch } = decodeVerify(payload);
    const { result, fingerprints } = session.verify(refs, batch, code === OPERATION.verifyDigests);
    return encodeAnswer(encodeIndexes(result), fingerprints);
  }
  if (code === OPERATION.signAgreed) {
    const { ref, peer, batch } = decodeSignAgreed(payload);
    const { result, fingerprints } = new AgreedMacs(session).sign(ref, peer, batch);
    return encodeAnswer(Buffer.concat(result), fingerprints);
  }
  if (code === OPERATION.verifyAgreed) {
    const { refs, peer, batch } = decodeVerifyAgreed(payload);
    const { result, fingerprints } = new AgreedMacs(session).verify(refs, peer, batch);
    return encodeAnswer(encodeIndexes(result), fingerprints);
  }
  const work = STREAM_OPERATIONS[code];
  if (work) return work(means.streams, payload);
  const operate = RARE_OPERATIONS[code];
  if (!operate) throw new Error(`operation ${code} is unknown`);
  const result = operate(session, payload);
  if (code === OPERATION.forgetVersion) means.streams.recheck(decodeJson<VersionRef>(payload));
  return encodeJson(OUTCOME.done, result);
}

/** Of each session, as long as its lane lives: they hold the key pairs of imports. */
const CHANGES = new WeakMap<TokenSession, KeyChanges>();

function changesOf(session: TokenSession): KeyChanges {
  const changes = CHANGES.get(session) ?? new KeyChanges(session);
  CHANGES.set(session, changes);
  return changes;
}

/** Those of messages that come in pieces, by code. */
const STREAM_OPERATIONS: Readonly<
  Record<number, (streams: MacStreams, payload: Buffer) => Buffer>
> = {
  [OPERATION.openStream]: (streams, payload) => {
    const { stream, operation, refs } = decodeJson<StreamOpening>(payload);
    return encodeAnswer(NO_RESULT, streams.open(stream, operation, refs));
  },
  [OPERATION.updateStream]: (streams, payload) => {
    const { stream, piece } = decodeStreamPiece(payload);
    streams.update(stream, piece);
    return encodeEmpty(OUTCOME.done);
  },
  [OPERATION.finishStream]: (streams, payload) => {
    const { stream, mac } = decodeJson<StreamEnd>(payload);
    if (mac === undefined) return encodeAnswer(streams.finishSign(stream), []);
    const index = streams.finishVerify(stream, Buffer.from(mac, 'base64'));
    return encodeAnswer(encodeIndexes([index]), []);
  },
  [OPERATION.abandonStream]: (streams, payload) => {
    streams.abandon(decodeJson(payload));
    return encodeEmpty(OUTCOME.done);
  },
};

const NO_RESULT = Buffer.alloc(0);

/** Those whose answers travel as JSON, by code. */
const RARE_OPERATIONS: Readonly<
  Record<number, (session: TokenSession, payload: Buffer) => unknown>
> = {
  [OPERATION.findKey]: (session, payload) => session.findKey(decodeJson(payload)),
  [OPERATION.listKeys]: (session, payload) => session.listKeys(decodeJson(payload)),
  [OPERATION.check]: (session, payload) => checkIntent(session, decodeJson(payload)),
  [OPERATION.createKey]: (session, payload) => changesOf(session).createKey(decodeNewKey(payload)),
  [OPERATION.createVersion]: (session, payload) =>
    changesOf(session).createVersion(decodeNewKey(payload)),
  [OPERATION.makeImportKey]: (session, payload) =>
    encodeImportKey(changesOf(session).makeImportKey(decodeJson(payload))),
  [OPERATION.destroyVersion]: (session, payload) =>
    changesOf(session).destroyVersion(decodeJson(payload)),
  [OPERATION.setVersionState]: (session, payload) => {
    const { state, ...ref } = decodeJson<StateChange>(payload);
    changesOf(session).setVersionState(ref, state);
  },
  [OPERATION.findRecords]: (session, payload) => session.find(decodeJson(payload)).records.copies,
  [OPERATION.createRecord]: (session, payload) =>
    new KeyChanges(session).createRecord(decodeJson(payload)),
  [OPERATION.removeRecords]: (session, payload) => {
    const { key, stamps } = decodeJson<RecordRemoval>(payload);
    new KeyChanges(session).removeRecords(key, stamps);
  },
  [OPERATION.forgetVersion]: (session, payload) =>
    session.forgetVersion(decodeJson<VersionRef>(payload)),
  [OPERATION.publicKeys]: (session, payload) =>
    publicKeysAnswer(session.publicKeys(decodeJson<VersionRef[]>(payload))),
  [OPERATION.auditKey]: (session) => session.once('making the audit key', auditKey),
  [OPERATION.auditMac]: (session, payload) => {
    const { keyId, text } = decodeJson<TextToSign>(payload);
    const bytes = Buffer.from(text, 'base64');
    const sign = (open: Session) => auditMac(open, keyId, bytes).toString('base64');
    return session.repeatable('signing for the audit log', sign);
  },
  [OPERATION.findAuditHead]: (session, payload) =>
    session.repeatable(
      "looking for the audit log's head",
      (open) => findAuditHeads(open, decodeJson(payload))[0]?.head,
    ),
  [OPERATION.keepAuditHead]: (session, payload) => {
    const { log, head } = decodeJson<KeptHead>(payload);
    session.repeatable("keeping the audit log's head", (open) => keepAuditHead(open, log, head));
  },
  [OPERATION.probe]: (session) => session.probe(),
  [OPERATION.describe]: (session) => session.describe(),
};
