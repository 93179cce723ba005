import { FakeToken } from '../support/fake-token.ts';
import { describeStreams } from './stream-contract.ts';
import { describeToken, LACKING, type TokenUnderTest } from './token-contract.ts';

async function start(): Promise<TokenUnderTest> {
  const token = new FakeToken();
  for (const algorithm of LACKING) token.unsupported.add(algorithm);
  return {
    token,
    writeKey: async (name, value, id) => token.writeKey(name, value, 'HMAC_SHA256', 1, id),
    close: async () => token.close(),
  };
}

describeToken('the token in memory that other tests use', start);
describeStreams('the token in memory that other tests use', start);
