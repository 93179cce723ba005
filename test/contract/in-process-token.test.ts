import { InProcessToken } from '../../src/pkcs11/in-process-token.ts';
import { KeyLocations } from '../../src/pkcs11/key-locations.ts';
import { connectToken } from '../../src/pkcs11/token-connection.ts';
import { TokenSession } from '../../src/pkcs11/token-session.ts';
import { createSoftHsm } from '../support/softhsm.ts';
import { describeStreams } from './stream-contract.ts';
import { describeToken, type TokenUnderTest } from './token-contract.ts';

async function start(): Promise<TokenUnderTest> {
  const softHsm = createSoftHsm();
  process.env['SOFTHSM2_CONF'] = softHsm.configuration;
  const connection = connectToken({
    module: softHsm.module,
    selector: { label: softHsm.label },
    expectedSerial: undefined,
    pin: { file: softHsm.pinFile, credential: false },
    warmKeys: 'off',
  });
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
