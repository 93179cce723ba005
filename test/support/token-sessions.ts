import { KeyLocations } from '../../src/pkcs11/key-locations.ts';
import { connectToken, type TokenConnection } from '../../src/pkcs11/token-connection.ts';
import { TokenSession, type TokenSessionOptions } from '../../src/pkcs11/token-session.ts';
import type { SoftHsm } from './softhsm.ts';

/** Loads SoftHSM into this process, which finds its tokens by the environment, and logs in. */
export function connectTo({ configuration, module, label, pinFile }: SoftHsm): TokenConnection {
  process.env['SOFTHSM2_CONF'] = configuration;
  return connectToken({
    module,
    selector: { label },
    expectedSerial: undefined,
    pin: { file: pinFile, credential: false },
    warmKeys: 'off',
  });
}

/** A session that knows nothing yet, and signs with the keys themselves unless it is told otherwise. */
export function openTokenSession(
  { slot, canaryMac }: TokenConnection,
  options: Partial<TokenSessionOptions> = {},
): TokenSession {
  const defaults = {
    slot,
    canaryMac,
    adopt: [],
    locations: new KeyLocations(),
    warmKeys: undefined,
  };
  return new TokenSession({ ...defaults, ...options });
}
