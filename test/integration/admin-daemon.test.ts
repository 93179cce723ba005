import { createHmac, createPublicKey, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createAuthority, type KeyPair } from '../support/certificates.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { until } from '../support/wait.ts';
import { sigilctl } from './admin-sigilctl.ts';

const DAY_MS = 86_400_000;

let rpc: RpcFixture;
/** `unix:PATH` */
let address = '';

beforeEach(async () => {
  rpc = startRpc();
  address = await rpc.listen();
});

afterEach(() => rpc.close());

describe('key create', () => {
  test('prints the new key as a JSON document', async () => {
    const run = await create('webhooks', '-o', 'json');

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(run.stdout)).toEqual({
      name: 'webhooks',
      algorithm: 'HMAC_SHA256',
      primaryVersion: 1,
      versions: [
        {
          version: 1,
          id: expect.stringMatching(/^[0-9a-f]{32}$/),
          state: 'ACTIVE',
          algorithm: 'HMAC_SHA256',
          createTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
          attributes: {
            sensitive: true,
            extractable: false,
            alwaysSensitive: true,
            neverExtractable: true,
            local: true,
          },
          origin: 'GENERATED',
        },
      ],
      destroyable: true,
    });
  });

  test('gives the key the settings that it is asked for', async () => {
    const run = await create(
      'webhooks',
      '--rotation-period',
      '90d',
      '--indestructible',
      '-o',
      'json',
    );

    const key = JSON.parse(run.stdout);
    expect(key).toMatchObject({ rotationPeriodMs: 90 * DAY_MS, destroyable: false });
    const [{ createTime }] = key.versions;
    expect(Date.parse(key.nextRotationTime) - Date.parse(createTime)).toBe(90 * DAY_MS);
  });

  test.each(['90', '1.5h', 'none', ''])('refuses the rotation period "%s"', async (period) => {
    const run = await create('webhooks', '--rotation-period', period);

    expect(run.exitCode).toBe(64);
    expect(run.stderr).toContain('It must be a number and its unit');
    expect(rpc.token.calls.createKey).toBe(0);
  });

  test('tells the bounds of a rotation period that is too short', async () => {
    const run = await create('webhooks', '--rotation-period', '30m');

    expect(run.stderr).toContain('rotation_period: must be 3600 s');
    expect(run.stderr).toContain('(FIELD_INVALID)');
  });

  test('prints a table for people', async () => {
    const run = await create('webhooks');

    expect(run.stdout).toMatch(/^name +webhooks$/m);
    expect(run.stdout).toMatch(
      /^1 +ACTIVE +HMAC_SHA256 .* sensitive, not extractable, always sensitive, never extractable, local$/m,
    );
  });

  test('refuses a name that is taken', async () => {
    await create('webhooks');

    const run = await create('webhooks', '-o', 'json');

    expect(run).toMatchObject({ exitCode: 1, stdout: '' });
    expect(JSON.parse(run.stderr)).toEqual({
      error: { reason: 'KEY_ALREADY_EXISTS', message: 'key webhooks exists' },
    });
  });

  test('repeated with one request id gives the key that is there', async () => {
    const requestId = randomUUID();

    const first = await create('webhooks', '-o', 'json', '--request-id', requestId);
    const second = await create('webhooks', '-o', 'json', '--request-id', requestId);

    expect(second).toEqual(first);
  });

  test('makes one key though the connection breaks before the answer', async () => {
    const { proxy, connections, proxyAddress } = await startProxy();
    const release = rpc.token.hold();

    const running = create('webhooks', '--address', proxyAddress);
    await until(() => rpc.token.waiting === 1);
    release();
    connections[0]?.destroy();
    const run = await running;
    proxy.close();

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(rpc.token.calls.createKey).toBe(2);
  });

  test('shows which field the daemon refuses', async () => {
    const run = await create('webhooks'.repeat(8));

    expect(run.exitCode).toBe(1);
    expect(run.stderr).toMatch(/^sigilctl: key: a key name has .* \(FIELD_INVALID\)$/m);
  });

  test.each(['HMAC_MD5', 'hmac_sha256', 'ALGORITHM_UNSPECIFIED'])(
    'refuses the algorithm %s',
    async (algorithm) => {
      const run = await daemon('key', 'create', 'webhooks', '--algorithm', algorithm);

      expect(run.exitCode).toBe(64);
    },
  );
});

describe('token info', () => {
  test('without a module prints what the daemon tells of its token as a JSON document', async () => {
    rpc.token.unsupported.add('AES_256_CMAC');

    const run = await daemon('token', 'info', '-o', 'json');

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(run.stdout)).toEqual({
      label: 'fake',
      serial: '0123456789abcdef',
      manufacturer: 'sigild',
      model: 'in memory',
      hardwareVersion: '1.0',
      firmwareVersion: '2.6',
      algorithms: expect.arrayContaining([
        { algorithm: 'HMAC_SHA256', supported: true },
        {
          algorithm: 'AES_256_CMAC',
          supported: false,
          missingMechanism: 'CKM_FOR_AES_256_CMAC',
        },
      ]),
      attributes: [
        { attribute: 'CKA_SIGN', enforced: true, found: 'refused' },
        { attribute: 'CKA_COPYABLE', enforced: false, found: 'copied' },
        { attribute: 'CKA_EXTRACTABLE', found: 'cannot be tried' },
      ],
      records: { kept: true, found: 'kept in memory' },
      hosts: [{ sessions: 1, warmKeys: { inUse: false, why: 'it is in memory' } }],
    });
  });

  test('shows the same to people', async () => {
    const run = await daemon('token', 'info');

    expect(run.stdout).toMatch(/^firmware version +2\.6$/m);
    expect(run.stdout).toMatch(/^HMAC_SHA512 +yes +-$/m);
    expect(run.stdout).toMatch(/^CKA_COPYABLE +no +copied$/m);
    expect(run.stdout).toMatch(/^CKA_EXTRACTABLE +- +cannot be tried$/m);
    expect(run.stdout).toMatch(/^1 +off +it is in memory$/m);
  });

  test.each([
    ['a label', ['--label', 'prod'], '--module is not given'],
    ['a PIN', ['--pin-file', 'pin'], '--module is not given'],
    ['a module without a label', ['--module', '/lib/module.so'], '--label is not given'],
  ])('does not take %s for a question to the daemon', async (_, args, message) => {
    const run = await sigilctl(['token', 'info', ...args]);

    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    expect(run.stderr).toContain(message);
  });

  test('asks either the daemon or the module', async () => {
    const module = ['--module', '/lib/module.so', '--label', 'prod'];

    const run = await daemon('token', 'info', '--address', address, ...module);

    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
  });
});

describe('key list', () => {
  test('shows every key, however many pages they fill', async () => {
    const names = Array.from({ length: 150 }, (_, index) => `key-${1_000 + index}`);
    for (const name of names) rpc.token.writeKey(name, randomBytes(32));

    const run = await daemon('key', 'list', '-o', 'json');

    const { keys } = JSON.parse(run.stdout);
    expect(keys.map(({ name }: { readonly name: string }) => name)).toEqual(names);
  });

  test('is an empty list without keys', async () => {
    const run = await daemon('key', 'list', '-o', 'json');

    expect(JSON.parse(run.stdout)).toEqual({ keys: [] });
  });
});

describe('key list for people', () => {
  test('tells of each key its newest state, its age and when it is rotated next', async () => {
    await create('shop', '--rotation-period', '12h');
    rpc.token.writeKey('webhooks', randomBytes(32));

    const run = await daemon('key', 'list');

    const [head, ...rows] = run.stdout.trimEnd().split('\n');
    expect(head).toMatch(/^NAME +ALGORITHM +PRIMARY +VERSIONS +STATE +AGE +NEXT ROTATION$/);
    expect(rows).toEqual([
      expect.stringMatching(/^shop +HMAC_SHA256 +1 +1 +ACTIVE +\d+(ms|s) +20\d\d-.*Z$/),
      expect.stringMatching(/^webhooks +HMAC_SHA256 +1 +1 +ACTIVE +- +-$/),
    ]);
  });
});

describe('key update', () => {
  test('changes the rotation period, and takes it away', async () => {
    await create('webhooks', '--indestructible');

    const given = await daemon('key', 'update', 'webhooks', '--rotation-period', '36h');
    const taken = await daemon(
      'key',
      'update',
      'webhooks',
      '--rotation-period',
      'none',
      '-o',
      'json',
    );

    expect(given).toMatchObject({ exitCode: 0, stderr: '' });
    expect(given.stdout).toMatch(/^rotation period +36h$/m);
    expect(given.stdout).toMatch(/^next rotation +20\d\d-.*Z$/m);
    expect(given.stdout).toMatch(/^destroyable +no$/m);
    const key = JSON.parse(taken.stdout);
    expect(key).toMatchObject({ name: 'webhooks', destroyable: false });
    expect(key).not.toHaveProperty('rotationPeriodMs');
    expect(key).not.toHaveProperty('nextRotationTime');
  });

  test('says so where the token keeps no settings', async () => {
    await create('webhooks');
    rpc.token.keepsRecords = false;

    const run = await daemon('key', 'update', 'webhooks', '--rotation-period', '1d');

    expect(run.stderr).toContain('(TOKEN_REFUSED)');
  });

  test('needs to be told what to change', async () => {
    const run = await daemon('key', 'update', 'webhooks');

    expect(run.stderr).toContain('--rotation-period');
  });
});

describe('key rotate', () => {
  test('prints the key with its new version', async () => {
    await create('webhooks');

    const run = await daemon('key', 'rotate', 'webhooks');

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(run.stdout).toMatch(/^primary version +2$/m);
    expect(run.stdout).toMatch(/^2 +ACTIVE /m);
    expect(run.stdout).toMatch(/^1 +DEACTIVATED /m);
  });

  test('keeps the version before active with --keep-active', async () => {
    await create('webhooks');

    const run = await daemon('key', 'rotate', 'webhooks', '--keep-active', '-o', 'json');

    expect(JSON.parse(run.stdout)).toMatchObject({
      primaryVersion: 2,
      versions: [{ state: 'ACTIVE' }, { state: 'ACTIVE' }],
    });
  });

  test('repeated with one request id makes one version', async () => {
    await create('webhooks');
    const rotate = () =>
      daemon('key', 'rotate', 'webhooks', '-o', 'json', '--request-id', 'rotation-1');

    const first = await rotate();

    expect(await rotate()).toEqual(first);
  });

  test('says how to repeat a rotation of which nobody knows whether it was made', async () => {
    await create('webhooks');
    rpc.token.isAvailable = false;

    const run = await daemon('key', 'rotate', 'webhooks', '--request-id', 'rotation-1');

    expect(run.exitCode).toBe(69);
    expect(run.stderr).toMatch(/the new version may exist: repeat with --request-id rotation-1/);
  });
});

describe('key export-public', () => {
  const createPair = () => daemon('key', 'create', 'invoices', '--algorithm', 'EC_SIGN_ED25519');

  test('prints PEM, and on stderr of which version it is', async () => {
    await createPair();

    const run = await daemon('key', 'export-public', 'invoices');

    expect(run.exitCode).toBe(0);
    expect(createPublicKey(run.stdout).asymmetricKeyType).toBe('ed25519');
    expect(run.stderr).toMatch(/^version 1 \(id [0-9a-f]{32}\), EC_SIGN_ED25519$/m);
  });

  test('prints a JWK', async () => {
    await createPair();

    const run = await daemon('key', 'export-public', 'invoices', '--format', 'jwk');

    expect(JSON.parse(run.stdout)).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA' });
  });

  test('prints all forms as JSON', async () => {
    await createPair();
    await daemon('key', 'rotate', 'invoices');

    const run = await daemon('key', 'export-public', 'invoices', '--version', '1', '-o', 'json');

    const { der, pem, ...rest } = JSON.parse(run.stdout);
    const key = createPublicKey({ key: Buffer.from(der, 'base64'), format: 'der', type: 'spki' });
    expect(key.export({ format: 'pem', type: 'spki' })).toBe(pem);
    expect(rest).toMatchObject({ key: 'invoices', version: 1, jwk: { use: 'sig' } });
  });

  test('says that a MAC key has none', async () => {
    await create('webhooks');

    const run = await daemon('key', 'export-public', 'webhooks');

    expect(run).toMatchObject({ exitCode: 1, stdout: '' });
    expect(run.stderr).toMatch(/\(KEY_HAS_NO_PUBLIC_KEY\)$/m);
  });

  test('prints all public keys as a JWK Set', async () => {
    await createPair();
    await create('webhooks');

    for (const args of [[], ['-o', 'json']]) {
      const run = await daemon('key', 'jwks', ...args);

      expect(JSON.parse(run.stdout)).toMatchObject({ keys: [{ kty: 'OKP', use: 'sig' }] });
    }
  });
});

describe('the state of a version', () => {
  test('is changed by the command that its name says', async () => {
    await create('webhooks');
    const states: string[] = [];

    for (const verb of ['suspend', 'activate', 'deactivate']) {
      const run = await daemon('key', verb, 'webhooks', '--version', '1', '-o', 'json');
      states.push(JSON.parse(run.stdout).versions[0].state);
    }

    expect(states).toEqual(['SUSPENDED', 'ACTIVE', 'DEACTIVATED']);
  });

  test('is not changed to one that may not follow', async () => {
    await create('webhooks');
    await daemon('key', 'deactivate', 'webhooks', '--version', '1');

    const run = await daemon('key', 'activate', 'webhooks', '--version', '1');

    expect(run).toMatchObject({ exitCode: 1, stdout: '' });
    expect(run.stderr).toMatch(
      /may not become ACTIVE; allowed: DESTROY_SCHEDULED \(KEY_STATE_FORBIDS\)$/m,
    );
  });

  test.each(['suspend', 'activate', 'deactivate'])('is not changed by %s alone', async (verb) => {
    const run = await daemon('key', verb, 'webhooks');

    expect(run.exitCode).toBe(64);
    expect(run.stderr).toContain('--version');
  });
});

describe('key show', () => {
  test('shows the version that is asked for', async () => {
    await create('webhooks');

    const run = await daemon('key', 'show', 'webhooks', '--version', '1', '-o', 'json');

    expect(JSON.parse(run.stdout)).toMatchObject({ name: 'webhooks', versions: [{ version: 1 }] });
  });

  test.each([
    ['a key', ['other'], 'KEY_NOT_FOUND'],
    ['a version', ['webhooks', '--version', '2'], 'KEY_VERSION_NOT_FOUND'],
  ])('says so where there is no such thing as %s', async (_, args, reason) => {
    await create('webhooks');

    const run = await daemon('key', 'show', ...args);

    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain(`(${reason})`);
  });
});

describe('sign and verify', () => {
  const DATA = Buffer.from([0, 1, 2, 0xff]);
  let dataFile = '';
  let signature = '';

  beforeEach(() => {
    const secret = randomBytes(32);
    rpc.token.writeKey('webhooks', secret);
    signature = createHmac('sha256', secret).update(DATA).digest('base64');
    dataFile = join(rpc.folder, 'data');
    writeFileSync(dataFile, DATA);
  });

  test('sign prints base64 on stdout and the version on stderr', async () => {
    const run = await daemon('sign', '--key', 'webhooks', '--input-file', dataFile);

    expect(run.exitCode).toBe(0);
    expect(run.stdout).toBe(`${signature}\n`);
    expect(run.stderr).toMatch(/^version 1 \(id [0-9a-f]{32}\)\n$/);
  });

  test('sign prints one JSON document for programs', async () => {
    const run = await daemon('sign', '--key', 'webhooks', '--input-file', dataFile, '-o', 'json');

    expect(run.stderr).toBe('');
    expect(JSON.parse(run.stdout)).toEqual({
      key: 'webhooks',
      version: 1,
      versionId: expect.stringMatching(/^[0-9a-f]{32}$/),
      algorithm: 'HMAC_SHA256',
      signature,
    });
  });

  test.each([
    ['without an option', []],
    ['for -', ['--input-file', '-']],
  ])('sign reads stdin %s', async (_, args) => {
    const run = await daemonWith(DATA, 'sign', '--key', 'webhooks', ...args);

    expect(run.stdout).toBe(`${signature}\n`);
  });

  test('zero bytes are data', async () => {
    const signed = await daemonWith('', 'sign', '--key', 'webhooks');
    const verified = await daemonWith('', ...verifyArguments(signed.stdout.trim()));

    expect(verified).toMatchObject({ exitCode: 0, stdout: 'valid, version 1\n' });
  });

  test('verify ends with 0 for a valid signature', async () => {
    const run = await daemon(...verifyArguments(signature), '--input-file', dataFile);

    expect(run).toEqual({ exitCode: 0, stdout: 'valid, version 1\n', stderr: '' });
  });

  test('verify reads the line that sign printed from a file', async () => {
    const signatureFile = join(rpc.folder, 'signature');
    writeFileSync(signatureFile, `${signature}\n`);

    const run = await daemonWith(
      DATA,
      ...['verify', '--key', 'webhooks', '--signature-file', signatureFile, '-o', 'json'],
    );

    expect(JSON.parse(run.stdout)).toEqual({
      key: 'webhooks',
      valid: true,
      version: 1,
      versionId: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
  });

  test.each([
    ['of other data', Buffer.alloc(32, 7).toString('base64')],
    ['of another length', Buffer.alloc(20, 7).toString('base64')],
    ['of no bytes', ''],
  ])('verify ends with 2 for a signature %s', async (_, wrong) => {
    const run = await daemonWith(DATA, ...verifyArguments(wrong));

    expect(run).toEqual({ exitCode: 2, stdout: 'not valid\n', stderr: '' });
  });

  test('verify tells programs of an invalid signature in JSON', async () => {
    const run = await daemonWith(DATA, ...verifyArguments('AAAA'), '-o', 'json');

    expect(run.exitCode).toBe(2);
    expect(JSON.parse(run.stdout)).toEqual({ key: 'webhooks', valid: false });
  });

  test.each([
    ['that is no base64', ['--signature', 'AAA']],
    ['that is missing', []],
    ['in two places', ['--signature', 'AAAA', '--signature-file', 'file']],
  ])('verify ends with 64 for a signature %s', async (_, args) => {
    const run = await daemonWith(DATA, 'verify', '--key', 'webhooks', ...args);

    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
  });

  test('a version that may not sign is refused by the daemon', async () => {
    const run = await daemonWith(DATA, 'sign', '--key', 'webhooks', '--key-version', '2');

    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain('(KEY_VERSION_NOT_FOUND)');
  });

  test.each([1_048_577, 40_000_000])('data of %i bytes are streamed', async (bytes) => {
    const data = Buffer.alloc(bytes, 'data');
    const file = join(rpc.folder, 'large');
    writeFileSync(file, data);

    const signed = await daemonWith(data, 'sign', '--key', 'webhooks');
    const verified = await daemon(...verifyArguments(signed.stdout.trim()), '--input-file', file);
    const changed = Buffer.from(data).fill('x', 0, 1);
    const other = await daemonWith(changed, ...verifyArguments(signed.stdout.trim()));

    expect(signed.exitCode).toBe(0);
    expect(verified).toEqual({ exitCode: 0, stdout: 'valid, version 1\n', stderr: '' });
    expect(other).toMatchObject({ exitCode: 2, stdout: 'not valid\n' });
    const methods = rpc.requests.slice(-3).map(({ method }) => method);
    expect(methods).toEqual(['SignStream', 'VerifyStream', 'VerifyStream']);
  });

  test('data that are streamed show the error of the daemon too', async () => {
    const run = await daemonWith(
      Buffer.alloc(8 * 1_048_576),
      ...['sign', '--key', 'nothing', '-o', 'json'],
    );

    expect(run.exitCode).toBe(1);
    expect(JSON.parse(run.stderr).error.reason).toBe('KEY_NOT_FOUND');
  });

  test('data that are streamed to a daemon that takes no more end with 1', async () => {
    const release = rpc.token.hold();

    const run = await daemonWith(
      Buffer.alloc(8 * 1_048_576),
      ...['sign', '--key', 'webhooks', '--timeout-ms', '300'],
    );
    release();

    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain('(DEADLINE_EXCEEDED)');
  });

  test.each(['missing', '.'])(
    'an input file that cannot be read ends with 64: %s',
    async (name) => {
      const run = await daemon('sign', '--key', 'webhooks', '--input-file', join(rpc.folder, name));

      expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    },
  );

  test('an answer that takes too long ends with 1', async () => {
    const release = rpc.token.hold();

    const run = await daemonWith(DATA, 'sign', '--key', 'webhooks', '--timeout-ms', '300');
    release();

    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain('(DEADLINE_EXCEEDED)');
  });
});

describe("the daemon's address", () => {
  test('is the one of the option rather than the one of SIGILD_ADDRESS', async () => {
    const run = await sigilctl(['key', 'list', '--address', address], {
      environment: { ...process.env, SIGILD_ADDRESS: 'unix:/run/no-such-folder/sigild.sock' },
    });

    expect(run.exitCode).toBe(0);
  });

  test('is asked for where nothing gives it', async () => {
    const run = await sigilctl(['key', 'list'], {
      environment: { ...process.env, SIGILD_ADDRESS: '' },
    });

    expect(run.exitCode).toBe(64);
    expect(run.stderr).toContain('SIGILD_ADDRESS');
  });

  test.each([
    ['an absent socket', 'unix:/run/no-such-folder/sigild.sock'],
    ['a port that nobody listens on', '127.0.0.1:1'],
  ])('that is %s ends with 69 and is named', async (_, absent) => {
    const run = await sigilctl(['key', 'list', '--address', absent, '-o', 'json']);

    expect(run).toMatchObject({ exitCode: 69, stdout: '' });
    expect(JSON.parse(run.stderr).error).toMatchObject({
      reason: 'DAEMON_UNREACHABLE',
      message: expect.stringContaining(`the daemon at ${absent} cannot be reached: connect E`),
    });
  });

  test('where nobody answers ends with 69, and says how to repeat safely', async () => {
    const silent = createServer();
    const silentAddress = await listen(silent, 'silent.sock');

    const run = await create(
      'webhooks',
      ...['--address', silentAddress, '--request-id', 'mine', '--timeout-ms', '300'],
    );
    silent.close();

    expect(run.exitCode).toBe(69);
    expect(run.stderr).toContain('repeat with --request-id mine');
  });
});

describe('mutual TLS', () => {
  let tlsAddress = '';
  let ca = '';
  let client: KeyPair;
  let stranger: KeyPair;

  beforeEach(async () => {
    const authority = createAuthority(rpc.folder);
    const server = authority.issue('server', {
      ...{ subject: '/CN=sigild', names: 'IP:127.0.0.1', usage: 'serverAuth' },
    });
    client = authority.issue('client', { subject: '/CN=test', usage: 'clientAuth' });
    stranger = createAuthority(rpc.folder, 'other-ca');
    ca = authority.certificate;
    tlsAddress = await rpc.listen('unused', {
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      identity: { kind: 'certificate', tls: { ...server, clientCa: ca } },
    });
  });

  test('reaches a daemon that knows the certificate', async () => {
    const run = await listKeys(ca, client);

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(rpc.requests).toEqual([expect.objectContaining({ client: 'test', outcome: 'OK' })]);
  });

  test.each([
    ['a certificate that the daemon does not know', () => listKeys(ca, stranger)],
    [
      'a daemon whose certificate is of another authority',
      () => listKeys(stranger.certificate, client),
    ],
    ['plaintext', () => daemon('key', 'list', '--address', tlsAddress)],
  ])('ends with 69 for %s', async (_, act) => {
    const run = await act();

    expect(run).toMatchObject({ exitCode: 69, stdout: '' });
    expect(run.stderr).toContain('(DAEMON_UNREACHABLE)');
  });

  function listKeys(authority: string, { certificate, key }: KeyPair) {
    return daemon(
      ...['key', 'list', '--address', tlsAddress, '--timeout-ms', '3000'],
      ...['--ca', authority, '--cert', certificate, '--key-file', key],
    );
  }
});

/** A proxy before the daemon, and the connections of its clients in order. */
async function startProxy() {
  const connections: Socket[] = [];
  const proxy = createServer((inbound) => {
    const outbound = connect(address.slice('unix:'.length));
    for (const socket of [inbound, outbound]) socket.on('error', () => undefined);
    inbound.pipe(outbound).pipe(inbound);
    connections.push(inbound);
  });
  return { proxy, connections, proxyAddress: await listen(proxy, 'proxy.sock') };
}

async function listen(socketServer: Server, name: string): Promise<string> {
  const path = join(rpc.folder, name);
  socketServer.listen(path);
  await once(socketServer, 'listening');
  return `unix:${path}`;
}

function create(name: string, ...args: readonly string[]) {
  return daemon('key', 'create', name, '--algorithm', 'HMAC_SHA256', ...args);
}

function verifyArguments(signature: string): string[] {
  return ['verify', '--key', 'webhooks', '--signature', signature];
}

function daemon(...args: readonly string[]) {
  return daemonWith('', ...args);
}

function daemonWith(stdin: string | Uint8Array, ...args: readonly string[]) {
  return sigilctl(args, { stdin, environment: { ...process.env, SIGILD_ADDRESS: address } });
}
