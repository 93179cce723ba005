import { FakeToken } from '../support/fake-token.ts';
import { describeToken } from './token-contract.ts';

describeToken('the token in memory that other tests use', async () => {
  const token = new FakeToken();
  return {
    token,
    writeKey: async (name, value) => token.writeKey(name, value),
    close: async () => token.close(),
  };
});
