import { randomBytes } from 'node:crypto';
import { ALGORITHM_NAMES, type Algorithm } from '../../src/domain/algorithm.ts';
import { namePattern } from '../../src/domain/name-pattern.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { AccessPolicy, OPERATIONS } from '../../src/service/access-policy.ts';
import type { RequestContext } from '../../src/service/caller.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { PublicKeyService } from '../../src/service/public-key-service.ts';
import { SigningService } from '../../src/service/signing-service.ts';
import { FakeToken } from './fake-token.ts';

const { signal } = new AbortController();
const ADMIN: RequestContext = { client: 'admin', signal };
const SHOP: RequestContext = { client: 'shop', signal };
const PARTNER: RequestContext = { client: 'partner', signal };

/** The services that use key pairs, on a token in memory, and three clients of theirs. */
export function startPairServices() {
  const token = new FakeToken();
  const catalog = new KeyCatalog({ token, lookupTimeoutMs: 1_000, onAmbiguous: () => undefined });
  const policy = new AccessPolicy(
    new Map([
      ['admin', [{ keys: [namePattern('*')], operations: OPERATIONS }]],
      [
        'partner',
        [
          { keys: [namePattern('partner')], operations: ['sign'] },
          { keys: [namePattern('public')], operations: ['getPublicKey'] },
        ],
      ],
      [
        'shop',
        [
          { keys: [namePattern('shop-*')], operations: ['getPublicKey'] },
          { keys: [namePattern('shop-a')], operations: ['listKeys'] },
        ],
      ],
    ]),
  );
  const shared = { token, catalog, policy };
  const enabledAlgorithms = new Set(ALGORITHM_NAMES);
  return {
    token,
    signing: new SigningService({ ...shared, enabledAlgorithms, maxDataBytes: 1_000 }),
    publicKeys: new PublicKeyService(shared),
    admin: ADMIN,
    shop: SHOP,
    partner: PARTNER,
    /** Makes a key of one version for each algorithm, from version 1. */
    create: async (name: string, ...algorithms: readonly Algorithm[]) => {
      for (const [index, algorithm] of algorithms.entries()) {
        const version = index + 1;
        const id = encodeVersionId({ createTimeMs: Date.now(), version, tag: randomBytes(6) });
        await token.createVersion({ name, algorithm, id }, signal);
      }
      return token.findKey(name, signal);
    },
  };
}
