import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { peerIdentifier } from '../../src/rpc/peer-identity.ts';

test('a connection that has closed is nobody’s, and breaks nothing', async () => {
  const identify = await peerIdentifier([{ by: 'uid', id: 0, client: 'operator' }]);

  expect(identify(new Socket())).toEqual({
    client: undefined,
    refusal: 'its peer cannot be found out',
  });
});

test.each([
  ['user', 'uid'],
  ['group', 'gid'],
] as const)('a %s that is not there is a mistake of the configuration', async (kind, by) => {
  const identifier = peerIdentifier([{ by, id: 'nobody-has-this-name', client: 'operator' }]);

  await expect(identifier).rejects.toMatchObject({
    kind: 'configuration',
    message: `there is no ${kind} nobody-has-this-name`,
  });
});
