import { FakeToken } from '../support/fake-token.ts';
import { describeToken, LACKING } from './token-contract.ts';

describeToken('the token in memory that other tests use', async () => {
  const token = new FakeToken();
  for (const algorithm of LACKING) token.unsupported.add(algorithm);
  return {
    token,
    writeKey: async (name, value, id) => token.writeKey(name, value, 'HMAC_SHA256', 1, id),
    close: async () => token.close(),
  };
});
