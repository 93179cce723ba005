import { startHostedToken } from '../support/hosted-token.ts';
import { createSoftHsm } from '../support/softhsm.ts';
import { describeToken } from './token-contract.ts';

describeToken('the hosted token, on SoftHSM', async () => {
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
});
