import { createPublicKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { peerMac, testPeer } from '../support/fake-agreement.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { type Run, sigilctl } from './admin-sigilctl.ts';

const DATA = 'a message';
const ALGORITHM = 'EC_AGREE_P256_HMAC_SHA256';

const peer = testPeer(ALGORITHM);

let rpc: RpcFixture;
let address = '';
let derFile = '';
let pemFile = '';
let badFile = '';
let expected = '';

beforeAll(async () => {
  rpc = startRpc();
  address = await rpc.listen();
  await run('key', 'create', 'partner', '--algorithm', ALGORITHM);
  await run('key', 'create', 'other', '--algorithm', ALGORITHM);
  [derFile, pemFile, badFile] = ['der', 'pem', 'bad'].map((name) => join(rpc.folder, name)) as [
    string,
    string,
    string,
  ];
  const key = createPublicKey({ key: peer.spki, format: 'der', type: 'spki' });
  writeFileSync(derFile, peer.spki);
  writeFileSync(pemFile, key.export({ format: 'pem', type: 'spki' }));
  writeFileSync(badFile, '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
  const { stdout } = await run('key', 'export-public', 'partner');
  const own = createPublicKey(stdout).export({ format: 'der', type: 'spki' });
  expected = peerMac(ALGORITHM, peer, own, Buffer.from(DATA)).toString('base64');
});

afterAll(() => rpc?.close());

function run(...args: readonly string[]): Promise<Run> {
  return sigilctl([...args, '--address', address], { stdin: DATA });
}

describe.each([
  ['PEM', () => pemFile],
  ['DER', () => derFile],
])("a peer's public key in %s", (_, file) => {
  test('signs and verifies', async () => {
    const peerArguments = ['--key', 'partner', '--peer-public-key-file', file()];

    const signed = await run('sign', ...peerArguments);
    const verified = await run('verify', ...peerArguments, '--signature', expected);

    expect(signed).toMatchObject({ exitCode: 0, stdout: `${expected}\n` });
    expect(verified).toMatchObject({ exitCode: 0, stdout: 'valid, version 1\n' });
  });
});

test('a peer may be named', async () => {
  const signed = await run('sign', '--key', 'partner', '--peer-key', 'other');
  const signature = signed.stdout.trim();

  const verified = await run(
    ...['verify', '--key', 'other', '--peer-key', 'partner', '--signature', signature],
  );

  expect(verified).toMatchObject({ exitCode: 0, stdout: 'valid, version 1\n' });
});

test.each([
  ['a private key', () => ['--peer-public-key-file', badFile], 64, 'no public key in PEM'],
  ['a file that is not there', () => ['--peer-public-key-file', '/none'], 64, 'cannot be read'],
  ['two peers', () => ['--peer-public-key-file', pemFile, '--peer-key', 'x'], 64, 'cannot be used'],
  ['no peer', () => [], 1, 'peer_public_key'],
] as const)('%s is refused with a reason', async (_, peerArguments, exitCode, message) => {
  const signed = await run('sign', '--key', 'partner', ...peerArguments());

  expect(signed.stderr).toContain(message);
  expect(signed).toMatchObject({ exitCode, stdout: '' });
});
