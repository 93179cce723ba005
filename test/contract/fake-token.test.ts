import { FakeToken } from '../support/fake-token.ts';
import { describeToken } from './token-contract.ts';

describeToken('the token in memory that other tests use', async () => {
  const token = new FakeToken();
  return {
    token,
    writeKey: async (name, value, id) => token.writeKey(name, value, 'HMAC_SHA256', 1, id),
    close: async () => token.close(),
  };
});
