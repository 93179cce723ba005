import pkcs11js from 'pkcs11js';
import type { AdoptRule } from '../domain/token-options.ts';
import { KeyLocations } from './key-locations.ts';
import { connectThread, type OwnConnectionOptions } from './own-connection.ts';
import { TokenSession } from './token-session.ts';
import type { WarmKeysOptions } from './warm-keys.ts';

export interface JoiningOptions {
  /** Absolute path of the PKCS#11 module, which another thread of this process has initialised. */
  readonly module: string;
  /** The slot's handle. */
  readonly slot: Uint8Array;
  readonly adopt: readonly AdoptRule[];
  readonly canaryMac: Uint8Array;
  /** The memory of the process's {@link KeyLocations}. */
  readonly locations: SharedArrayBuffer;
  readonly warmKeys: WarmKeysOptions | undefined;
  /** For a module whose connection threads do not share; undefined for all others. */
  readonly ownConnection: OwnConnectionOptions | undefined;
}

/**
 * A session for another thread of the process that has connected to the token.
 *
 * @throws {StartFailure} unavailable, wrong-pin, when the thread needs its own connection
 */
export function joinToken({
  module,
  slot,
  adopt,
  canaryMac,
  locations,
  warmKeys,
  ownConnection,
}: JoiningOptions): TokenSession {
  const lib = new pkcs11js.PKCS11();
  lib.load(module);
  return new TokenSession({
    slot: ownConnection ? connectThread(lib, ownConnection) : { lib, handle: Buffer.from(slot) },
    adopt,
    canaryMac: Buffer.from(canaryMac),
    // Handles are as good as the connection that they come from.
    locations: ownConnection ? new KeyLocations() : new KeyLocations(locations),
    warmKeys,
  });
}
