import pkcs11js from 'pkcs11js';
import { ALGORITHM_NAMES, type Algorithm } from '../domain/algorithm.ts';
import type { AttributeSupport, RecordSupport } from '../domain/token-info.ts';
import { type OnSession, tryAttributes } from './attribute-trials.ts';
import { Canary } from './canary.ts';
import { ck } from './ck-rv.ts';
import { login, logout } from './login.ts';
import { missingMechanism, signingMechanismOf } from './mechanisms.ts';
import { tryRecords } from './record-trial.ts';
import { openSession, type Session, type Slot } from './session.ts';
import { versionText } from './token-facts.ts';
import { type FoundToken, isInitialized } from './token-selection.ts';
import { decideWarmth } from './warmth.ts';

/** CK_UNAVAILABLE_INFORMATION, as pkcs11js 2.1.7 cuts it to 32 bits for counts and not for memory. */
const UNAVAILABLE = [0xffff_ffffn, 0xffff_ffff_ffff_ffffn];

const NO_CANARY = {
  warm: undefined,
  why: 'there is no key to measure with; a daemon makes one when it first starts on this token',
};

/** What a token says of itself to anybody. sigilctl prints it as JSON, so its shape is stable. */
export interface TokenSummary {
  /** Empty for a token that is not initialised. */
  readonly label: string;
  readonly serial: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly initialized: boolean;
  readonly userPinSet: boolean;
  /** A wrong user PIN was given since the last right one. */
  readonly userPinCountLow: boolean;
  /** One more wrong user PIN locks the token. */
  readonly userPinFinalTry: boolean;
  readonly userPinLocked: boolean;
}

/** What a token can do of one algorithm. */
interface AlgorithmSupport {
  readonly algorithm: Algorithm;
  readonly mechanism: string;
  readonly sign: boolean;
  readonly verify: boolean;
  /** Whether CreateKey works: the token can generate the key and sign with it. */
  readonly create: boolean;
  /** As the token reports it: of MAC keys most count bytes, some bits; of key pairs bits. Absent without the mechanism. */
  readonly minKeySize: number | undefined;
  readonly maxKeySize: number | undefined;
}

/** The lengths of the PINs that a token takes, in bytes. */
interface PinLimits {
  readonly minPinBytes: number;
  /** 0 where the token names none. */
  readonly maxPinBytes: number;
}

/**
 * Whether hosts sign with copies of keys here, where the configuration leaves that to measuring. Its
 * shape is stable too.
 */
export interface WarmKeysReport {
  /** Absent where it was not measured. */
  readonly inUse: boolean | undefined;
  readonly why: string;
}

/** What takes a login to find out. Its shape is stable too. */
export interface TokenMeasurements {
  readonly warmKeys: WarmKeysReport;
  /** Absent without a login. */
  readonly attributes: readonly AttributeSupport[] | undefined;
  /** Absent without a login. */
  readonly records: RecordSupport | undefined;
}

/**
 * The whole report. A session or memory figure is absent where the token knows no limit or does not
 * report it. Its shape is stable too.
 */
export interface TokenDetails extends TokenSummary, PinLimits {
  readonly hardwareVersion: string;
  readonly firmwareVersion: string;
  readonly sessions: {
    readonly open: number | undefined;
    readonly max: number | undefined;
    readonly openReadWrite: number | undefined;
    readonly maxReadWrite: number | undefined;
  };
  readonly memory: {
    readonly publicTotalBytes: number | undefined;
    readonly publicFreeBytes: number | undefined;
    readonly privateTotalBytes: number | undefined;
    readonly privateFreeBytes: number | undefined;
  };
  readonly algorithms: readonly AlgorithmSupport[];
}

export function summarizeToken(token: FoundToken): TokenSummary {
  const { label, serialNumber, manufacturerID, model, flags } = token.info;
  return {
    label,
    serial: serialNumber,
    manufacturer: manufacturerID,
    model,
    initialized: isInitialized(token),
    userPinSet: hasFlag(flags, pkcs11js.CKF_USER_PIN_INITIALIZED),
    userPinCountLow: hasFlag(flags, pkcs11js.CKF_USER_PIN_COUNT_LOW),
    userPinFinalTry: hasFlag(flags, pkcs11js.CKF_USER_PIN_FINAL_TRY),
    userPinLocked: hasFlag(flags, pkcs11js.CKF_USER_PIN_LOCKED),
  };
}

export function pinLimits({ info }: FoundToken): PinLimits {
  return { minPinBytes: info.minPinLen, maxPinBytes: info.maxPinLen };
}

/** @throws {CryptokiError} */
export function describeToken(token: FoundToken): TokenDetails {
  const { slot, info } = token;
  return {
    ...summarizeToken(token),
    hardwareVersion: versionText(info.hardwareVersion),
    firmwareVersion: versionText(info.firmwareVersion),
    ...pinLimits(token),
    sessions: {
      open: reported(info.sessionCount),
      max: limit(info.maxSessionCount),
      openReadWrite: reported(info.rwSessionCount),
      maxReadWrite: limit(info.maxRwSessionCount),
    },
    memory: {
      publicTotalBytes: reported(info.totalPublicMemory),
      publicFreeBytes: reported(info.freePublicMemory),
      privateTotalBytes: reported(info.totalPrivateMemory),
      privateFreeBytes: reported(info.freePrivateMemory),
    },
    algorithms: supportedAlgorithms(slot),
  };
}

/**
 * Logs in, decides as a host does at its start, and tries which attributes the token enforces. Nothing
 * of it stays on the token.
 *
 * @param pin the user PIN, which is tried once
 * @throws {StartFailure} wrong-pin, unavailable
 * @throws {CryptokiError}
 */
export function measureToken({ slot }: FoundToken, pin: string): TokenMeasurements {
  const keeper = login(slot, pin);
  const canary = new Canary(undefined);
  const mac = canary.sign(keeper);
  const { warm, why } = mac ? decideWarmth('auto', keeper, canary, mac) : NO_CANARY;
  const onSession: OnSession = (work) => onSessionOf(slot, work);
  const attributes = tryAttributes(onSession);
  const records = tryRecords(onSession);
  logout(keeper);
  return { warmKeys: { inUse: warm, why }, attributes, records };
}

function onSessionOf<Result>(slot: Slot, work: (session: Session) => Result): Result {
  const session = openSession(slot);
  try {
    return work(session);
  } finally {
    session.close();
  }
}

function supportedAlgorithms(slot: Slot): AlgorithmSupport[] {
  const mechanisms = ck('C_GetMechanismList', () => slot.lib.C_GetMechanismList(slot.handle));
  return ALGORITHM_NAMES.map((algorithm) => {
    const { type, name } = signingMechanismOf(algorithm);
    const info = mechanisms.includes(type)
      ? ck('C_GetMechanismInfo', () => slot.lib.C_GetMechanismInfo(slot.handle, type))
      : undefined;
    return {
      algorithm,
      mechanism: name,
      sign: hasFlag(info?.flags ?? 0, pkcs11js.CKF_SIGN),
      verify: hasFlag(info?.flags ?? 0, pkcs11js.CKF_VERIFY),
      create: missingMechanism(slot, algorithm) === undefined,
      minKeySize: info?.minKeySize,
      maxKeySize: info?.maxKeySize,
    };
  });
}

/** pkcs11js 2.1.7 gives memory as BigInt, though graphene-pk11 2.3.6 declares a number. */
function reported(value: number | bigint): number | undefined {
  return UNAVAILABLE.includes(BigInt(value)) ? undefined : Number(value);
}

/** 0 is CK_EFFECTIVELY_INFINITE. */
function limit(value: number): number | undefined {
  return value === 0 ? undefined : reported(value);
}

function hasFlag(flags: number, flag: number): boolean {
  return (flags & flag) !== 0;
}
