import { expect, test } from 'vitest';
import { clientChanges, settingsForRestart } from '../../src/config/config-changes.ts';
import { expiredGrants } from '../../src/config/expired-grants.ts';
import { load, MINIMAL } from '../support/config-file.ts';

const OTHER = `  - name: other
    grants:
      - keys: ["*"]
        operations: [verify]
`;

test('clients that came, went and may do something else are named', () => {
  const before = load(MINIMAL + OTHER).clients;
  const after = load(
    MINIMAL.replace('[sign]', '[verify]') + OTHER.replace('name: other', 'name: third'),
  ).clients;

  expect(clientChanges(before, after)).toEqual({
    added: ['third'],
    removed: ['other'],
    changed: ['backend'],
  });
});

test('clients that are the same have no changes', () => {
  expect(clientChanges(load(MINIMAL).clients, load(MINIMAL).clients)).toBeUndefined();
});

test('settings that need a restart are named, and clients are none of them', () => {
  const before = load(MINIMAL);
  const after = load(
    `${MINIMAL.replace('label: prod', 'label: other')}${OTHER}log: { level: warn }
algorithms: [HMAC_SHA1]
metrics: { listen: 127.0.0.1:9464 }
`,
  );

  expect(settingsForRestart(before, after).toSorted()).toEqual([
    ...['algorithms', 'log.level', 'metrics.listen', 'token.selector'],
  ]);
});

test('limits of clients need a restart, also those of a client that came', () => {
  const limits = '    limits: { callsPerSecond: 5 }\n';
  const before = load(MINIMAL);
  const after = load(MINIMAL + limits);

  expect(settingsForRestart(before, after)).toEqual(['clients[].limits']);
  expect(clientChanges(before.clients, after.clients)).toBeUndefined();
  expect(settingsForRestart(before, load(MINIMAL + OTHER + limits))).toEqual(['clients[].limits']);
});

test('nothing needs a restart where the configuration is the same', () => {
  expect(settingsForRestart(load(MINIMAL), load(MINIMAL))).toEqual([]);
});

test('grants that have expired are named by their places', () => {
  const grant = (year: number) => `      - keys: ["*"]
        operations: [sign]
        expires: ${year}-01-01T00:00:00Z
`;
  const { clients } = load(MINIMAL + grant(2020) + grant(2100));

  expect(expiredGrants(clients)).toEqual([
    'clients[0].grants[1]: expired at 2020-01-01T00:00:00.000Z',
  ]);
});
