import { InProcessToken } from '../../src/pkcs11/in-process-token.ts';
import { KeyLocations } from '../../src/pkcs11/key-locations.ts';
import { TokenSession } from '../../src/pkcs11/token-session.ts';
import { createSoftHsm } from '../support/softhsm.ts';
import { connectTo } from '../support/token-sessions.ts';
import { describeStreams } from './stream-contract.ts';
import { describeToken, type TokenUnderTest } from './token-contract.ts';

async function start(): Promise<TokenUnderTest> {
  const softHsm = createSoftHsm();
  const connection = connectTo(softHsm);
  const session = new TokenSession({
    slot: connection.slot,
    adopt: [{ label: 'adopted-*', algorithm: 'HMAC_SHA256' }],
    canaryMac: connection.canaryMac,
    locations: new KeyLocations(),
    warmKeys: undefined,
  });
  return {
    token: new InProcessToken(session, connection.warmth),
    writeKey: async (label, value, id) =>
      softHsm.writeKey({ label, value, ...(id !== undefined && { id }) }),
    close: async () => {
      session.close();
      connection.close();
      softHsm.remove();
    },
  };
}

describeToken('the token in this process, on SoftHSM', start);
describeStreams('the token in this process, on SoftHSM', start);
