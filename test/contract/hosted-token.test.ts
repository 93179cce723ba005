import { startHostedToken } from '../support/hosted-token.ts';
import { createSoftHsm } from '../support/softhsm.ts';
import { describeStreams } from './stream-contract.ts';
import { describeToken, type TokenUnderTest } from './token-contract.ts';

async function start(): Promise<TokenUnderTest> {
  const softHsm = createSoftHsm();
  const token = await startHostedToken(softHsm);
  return {
    token,
    writeKey: async (label, value, id) =>
      softHsm.writeKey({ label, value, ...(id !== undefined && { id }) }),
    close: async () => {
      await token.close(5_000);
      softHsm.remove();
    },
  };
}

describeToken('the hosted token, on SoftHSM', start);
describeStreams('the hosted token, on SoftHSM', start);
