import { ALGORITHM_NAMES, type Algorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import { ck } from '../pkcs11/ck-rv.ts';
import { assertSupported, MECHANISMS } from '../pkcs11/mechanisms.ts';
import type { FoundToken } from '../pkcs11/token-selection.ts';
import { hasFlag, TOKEN_FLAGS, type TokenInfo, type TokenSlot } from './token-module.ts';

/** CKF_SIGN and CKF_VERIFY of CK_MECHANISM_INFO. */
const MECHANISM_FLAGS = { sign: 0x800, verify: 0x2000 } as const;

/** CK_UNAVAILABLE_INFORMATION, as pkcs11js 2.1.7 cuts it to 32 bits for counts and not for memory. */
const UNAVAILABLE = [0xffff_ffffn, 0xffff_ffff_ffff_ffffn];

/** What a token says of itself: an item of `token list -o json`. */
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

/** One of sigild's algorithms on a token. */
interface AlgorithmSupport {
  readonly algorithm: Algorithm;
  readonly mechanism: string;
  readonly sign: boolean;
  readonly verify: boolean;
  /** Whether `key create` works: the token can generate the key and sign with it. */
  readonly create: boolean;
  /** As the token reports it: most count bytes, some bits. Absent without the mechanism. */
  readonly minKeySize: number | undefined;
  readonly maxKeySize: number | undefined;
}

/**
 * `token info -o json`. A session or memory figure is absent where the token knows no limit or does
 * not report it.
 */
export interface TokenDetails extends TokenSummary {
  readonly hardwareVersion: string;
  readonly firmwareVersion: string;
  readonly minPinBytes: number;
  readonly maxPinBytes: number;
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

export function summarize(info: TokenInfo): TokenSummary {
  const { label, serialNumber, manufacturerID, model, flags } = info;
  return {
    label,
    serial: serialNumber,
    manufacturer: manufacturerID,
    model,
    initialized: hasFlag(flags, TOKEN_FLAGS.tokenInitialized),
    userPinSet: hasFlag(flags, TOKEN_FLAGS.userPinInitialized),
    userPinCountLow: hasFlag(flags, TOKEN_FLAGS.userPinCountLow),
    userPinFinalTry: hasFlag(flags, TOKEN_FLAGS.userPinFinalTry),
    userPinLocked: hasFlag(flags, TOKEN_FLAGS.userPinLocked),
  };
}

/** @throws {CryptokiError} */
export function describeToken({ slot, info }: FoundToken): TokenDetails {
  return {
    ...summarize(info),
    hardwareVersion: versionText(info.hardwareVersion),
    firmwareVersion: versionText(info.firmwareVersion),
    minPinBytes: info.minPinLen,
    maxPinBytes: info.maxPinLen,
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

function supportedAlgorithms(slot: TokenSlot): AlgorithmSupport[] {
  const mechanisms = ck('C_GetMechanismList', () => slot.lib.C_GetMechanismList(slot.handle));
  return ALGORITHM_NAMES.map((algorithm) => {
    const { type, name } = MECHANISMS[algorithm];
    const info = mechanisms.includes(type)
      ? ck('C_GetMechanismInfo', () => slot.lib.C_GetMechanismInfo(slot.handle, type))
      : undefined;
    return {
      algorithm,
      mechanism: name,
      sign: hasFlag(info?.flags ?? 0, MECHANISM_FLAGS.sign),
      verify: hasFlag(info?.flags ?? 0, MECHANISM_FLAGS.verify),
      create: canCreate(slot, algorithm),
      minKeySize: info?.minKeySize,
      maxKeySize: info?.maxKeySize,
    };
  });
}

function canCreate(slot: TokenSlot, algorithm: Algorithm): boolean {
  try {
    assertSupported(slot, algorithm);
    return true;
  } catch (error) {
    if (error instanceof SigildError && error.reason === 'ALGORITHM_UNSUPPORTED') return false;
    throw error;
  }
}

/** pkcs11js 2.1.7 gives memory as BigInt, though graphene-pk11 2.3.6 declares a number. */
function reported(value: number | bigint): number | undefined {
  return UNAVAILABLE.includes(BigInt(value)) ? undefined : Number(value);
}

/** 0 is CK_EFFECTIVELY_INFINITE. */
function limit(value: number): number | undefined {
  return value === 0 ? undefined : reported(value);
}

function versionText({ major, minor }: TokenInfo['hardwareVersion']): string {
  return `${major}.${minor}`;
}
