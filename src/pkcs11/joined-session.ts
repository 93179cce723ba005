import pkcs11js from 'pkcs11js';
import type { AdoptRule } from '../domain/token-options.ts';
import { KeyLocations } from './key-locations.ts';
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
}

/** A session for another thread of the process that has connected to the token. */
export function joinToken({
  module,
  slot,
  adopt,
  canaryMac,
  locations,
  warmKeys,
}: JoiningOptions): TokenSession {
  const lib = new pkcs11js.PKCS11();
  lib.load(module);
  return new TokenSession({
    slot: { lib, handle: Buffer.from(slot) },
    adopt,
    canaryMac: Buffer.from(canaryMac),
    locations: new KeyLocations(locations),
    warmKeys,
  });
}
