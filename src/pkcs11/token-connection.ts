import type { PinSource, TokenSelector, WarmMode, Warmth } from '../domain/token-options.ts';
import { StartFailure } from '../service/start-failure.ts';
import { Canary } from './canary.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import type { KeyLocations } from './key-locations.ts';
import { surveyKeys } from './key-survey.ts';
import { login, logout, readPin } from './login.ts';
import type { TokenModule } from './module.ts';
import { joinsOtherThreads } from './own-connection.ts';
import type { Session, Slot } from './session.ts';
import { openToken } from './token-search.ts';
import { decideWarmth } from './warmth.ts';

export interface TokenConnectionOptions {
  /** Absolute path of the PKCS#11 module. */
  readonly module: string;
  readonly selector: TokenSelector;
  /** The serial number of the token that was used before; undefined the first time. */
  readonly expectedSerial: string | undefined;
  readonly pin: PinSource;
  readonly warmKeys: WarmMode;
}

/**
 * A process's one connection to the token: the module is initialised, the keeper session is logged
 * in, the canary key has signed.
 */
export interface TokenConnection {
  readonly slot: Slot;
  readonly serial: string;
  /** The canary key's id, in hexadecimal. */
  readonly canaryId: string;
  /** What the canary key's MAC is. */
  readonly canaryMac: Buffer;
  readonly warmth: Warmth;
  /** Whether other threads that load the module share the connection; else each needs its own. */
  readonly isShared: boolean;
  /** Finds out where every key stands, a key at each step: see {@link surveyKeys}. */
  survey(locations: KeyLocations): Iterator<undefined, undefined>;
  /** Logs out and finalises the module. No call may be in flight in any thread. */
  close(): void;
}

/**
 * Connects this process to the token. C_Login is called at most once.
 *
 * @throws {StartFailure}
 */
export function connectToken(options: TokenConnectionOptions): TokenConnection {
  try {
    return connect(options);
  } catch (error) {
    if (!(error instanceof CryptokiError)) throw error;
    throw new StartFailure('unavailable', `the token cannot be used: ${error.message}`, error);
  }
}

/** @throws {StartFailure} @throws {CryptokiError} */
function connect(options: TokenConnectionOptions): TokenConnection {
  // Before the module is loaded: a PIN that cannot be read should cost no call to the token.
  const pin = readPin(options.pin);
  const { module, token } = openToken(options.module, options.selector);
  const { slot, info } = token;
  const { expectedSerial } = options;
  if (expectedSerial !== undefined && info.serialNumber !== expectedSerial) {
    throw new StartFailure(
      'wrong-token',
      `the token "${info.label}" now has the serial ${info.serialNumber} instead of ` +
        `${expectedSerial}: another token has taken its place; restart sigild if that is intended`,
    );
  }
  const keeper = login(slot, pin);
  const canary = new Canary(undefined);
  const canaryMac = canary.sign(keeper) ?? generateCanary(keeper, canary);
  return {
    slot,
    serial: info.serialNumber,
    canaryId: canary.id(keeper),
    canaryMac,
    warmth: decideWarmth(options.warmKeys, keeper, canary, canaryMac),
    isShared: joinsOtherThreads(options.module),
    survey: (locations) => surveyKeys(keeper, locations),
    close: () => disconnect(module, keeper),
  };
}

/** @throws {StartFailure} @throws {CryptokiError} */
function generateCanary(keeper: Session, canary: Canary): Buffer {
  Canary.generate(keeper);
  const mac = canary.sign(keeper);
  if (mac) return mac;
  throw new StartFailure('unavailable', 'the canary key was made but the token does not show it');
}

function disconnect(module: TokenModule, keeper: Session): void {
  attempt(() => logout(keeper));
  attempt(() => keeper.close());
  attempt(() => ck('C_Finalize', () => module.finalize()));
}

/** What a token refuses at the end makes no difference: login and sessions end with the process. */
function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof CryptokiError)) throw error;
  }
}
