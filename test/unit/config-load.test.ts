import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import { TWO_HALF_ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { load, MINIMAL, problemsOf } from '../support/config-file.ts';

/** The minimal configuration with its token's label or PIN file written in another way. */
function withToken(change: { readonly label?: string; readonly pinFile?: string }): string {
  return MINIMAL.replace('label: prod', change.label ?? 'label: prod').replace(
    'pinFile: /etc/sigild/pin',
    change.pinFile ?? 'pinFile: /etc/sigild/pin',
  );
}

/** The minimal configuration with another listener. */
function withListener(listener: string): string {
  return MINIMAL.replace('- unix: /run/sigild/sigild.sock\n    client: backend', `- ${listener}`);
}

describe('a right configuration', () => {
  test('has every default in its place', () => {
    const config = load(MINIMAL);

    expect(config).toEqual({
      token: {
        module: '/usr/lib/module.so',
        selector: { label: 'prod' },
        pin: { file: '/etc/sigild/pin', credential: false },
        hosts: 2,
        sessionsPerHost: 4,
        startTimeoutMs: 15_000,
        callTimeoutMs: 5_000,
        warmKeys: 'auto',
        adopt: [],
      },
      algorithms: [
        ...['HMAC_SHA224', 'HMAC_SHA256', 'HMAC_SHA384', 'HMAC_SHA512'],
        ...['HMAC_SHA3_256', 'HMAC_SHA3_384', 'HMAC_SHA3_512', 'AES_128_CMAC', 'AES_256_CMAC'],
        ...TWO_HALF_ALGORITHM_NAMES,
      ],
      listeners: [
        {
          address: { kind: 'unix', path: '/run/sigild/sigild.sock', mode: 0o660, group: undefined },
          identity: { kind: 'client', client: 'backend', plaintext: false },
        },
      ],
      clients: [{ name: 'backend', grants: [{ keys: ['*'], operations: ['sign'] }], limits: {} }],
      keys: {
        refreshIntervalMs: 10_000,
        lookupTimeoutMs: 30_000,
        minRotationPeriodMs: 3_600_000,
        destroyDelayMs: 2_592_000_000,
        minDestroyDelayMs: 86_400_000,
      },
      limits: {
        maxDataBytes: 1_048_576,
        maxWaiting: 1_024,
        maxInFlight: 4_096,
        maxInFlightPerClient: 2_048,
        maxConnectionsPerClient: 256,
        maxStreamsPerClient: 64,
        maxSigningStreams: 128,
        maxSigningStreamsPerClient: 64,
        signingStreamIdleMs: 10_000,
        signingStreamLimitMs: 600_000,
        defaultDeadlineMs: 5_000,
        rates: {},
        ratesPerClient: {},
      },
      health: { intervalMs: 1_000, timeoutMs: 2_000 },
      shutdown: { drainTimeoutMs: 10_000 },
      log: { level: 'info' },
      metrics: {},
    });
  });

  test('keeps the defaults of a section beside what it sets', () => {
    const config = load(`${MINIMAL}health: { intervalMs: 500 }\n`);

    expect(config.health).toEqual({ intervalMs: 500, timeoutMs: 2_000 });
  });

  test('enables HMAC_SHA1 where it is listed', () => {
    const config = load(`${MINIMAL}algorithms: [HMAC_SHA1]\n`);

    expect(config.algorithms).toEqual(['HMAC_SHA1']);
  });

  test.each([
    ['serial: "00123456"', { serial: '00123456' }],
    ['uri: "pkcs11:token=prod;model=SoftHSM%20v2"', { label: 'prod', model: 'SoftHSM v2' }],
  ])('selects a token by %s', (label, selector) => {
    const config = load(withToken({ label }));

    expect(config.token.selector).toEqual(selector);
  });

  test('finds a credential below $CREDENTIALS_DIRECTORY', () => {
    const text = withToken({ pinFile: 'pinCredential: pin' });

    const config = load(text, { CREDENTIALS_DIRECTORY: '/run/credentials/sigild.service' });

    expect(config.token.pin).toEqual({
      file: '/run/credentials/sigild.service/pin',
      credential: true,
    });
  });

  test.each([
    [
      '{ unix: /s, mode: "0600", group: 27, client: backend }',
      { kind: 'unix', path: '/s', mode: 0o600, group: 27 },
    ],
    [
      '{ unix: /s, mode: "660", group: web, client: backend }',
      { kind: 'unix', path: '/s', mode: 0o660, group: 'web' },
    ],
    [
      '{ tcp: "[::1]:7400", plaintext: true, client: backend }',
      { kind: 'tcp', host: '::1', port: 7400 },
    ],
    ['{ systemd: sigild.socket, client: backend }', { kind: 'systemd', name: 'sigild.socket' }],
  ])('listens on %s', (listener, address) => {
    const config = load(withListener(listener));

    expect(config.listeners[0]?.address).toEqual(address);
  });

  test.each([
    ['{ unix: /s, client: backend }', { kind: 'client', client: 'backend', plaintext: false }],
    [
      '{ tcp: 127.0.0.1:0, plaintext: true, client: backend }',
      { kind: 'client', client: 'backend', plaintext: true },
    ],
    [
      '{ tcp: 0.0.0.0:7443, tls: { certificate: /c, key: /k, clientCa: /a } }',
      { kind: 'certificate', tls: { certificate: '/c', key: '/k', clientCa: '/a' } },
    ],
    [
      '{ systemd: x, tls: { certificate: /c, key: /k, clientCa: /a } }',
      { kind: 'certificate', tls: { certificate: '/c', key: '/k', clientCa: '/a' } },
    ],
  ])('knows who connects to %s', (listener, identity) => {
    const config = load(withListener(listener));

    expect(config.listeners[0]?.identity).toEqual(identity);
  });
});

describe('a wrong configuration', () => {
  test('is told of all at once, in the order of the file', () => {
    const problems = problemsOf(`token:
  modul: /usr/lib/module.so
  label: prod
  serial: 123456
  pinFile: pin
  hosts: 17
listeners:
  - tcp: 0.0.0.0:7400
    plaintext: true
    client: nobody
  - unix: /run/sigild.sock
    mode: 0660
    client: backend
clients:
  - name: backend
    grants:
      - keys: ["a b"]
        operations: [sing]
log: { level: loud }
`);

    expect(problems).toEqual([
      'FILE:2:3: token.module: is missing: must be an absolute path',
      'FILE:2:3: token.modul: unknown key; allowed here: module, label, serial, uri, pinFile, ' +
        'pinCredential, hosts, sessionsPerHost, startTimeoutMs, callTimeoutMs, warmKeys, adopt',
      'FILE:2:3: token: needs exactly one of label, serial, uri; it has label, serial',
      'FILE:4:11: token.serial: must be text of 1 to 16 bytes without control characters ' +
        '(in quotes when it looks like a number)',
      'FILE:5:12: token.pinFile: must be an absolute path',
      'FILE:6:10: token.hosts: must be an integer from 1 to 16',
      'FILE:8:10: listeners[0].tcp: plaintext is for loopback addresses, 127.0.0.0/8 and ::1; ' +
        'elsewhere use tls',
      'FILE:10:13: listeners[0].client: no entry of clients has this name: who connects here ' +
        'could do nothing',
      'FILE:12:11: listeners[1].mode: must be three octal digits in quotes, for instance "0660"',
      'FILE:17:16: clients[0].grants[0].keys[0]: must be a pattern: 1 to 63 characters of ' +
        '[A-Za-z0-9._-], with * for any number of characters',
      'FILE:18:22: clients[0].grants[0].operations[0]: must be one of createKey, importKey, getKey, ' +
        'listKeys, getPublicKey, rotateKey, updateKey, updateKeyVersion, scheduleDestroy, restore, ' +
        'sign, verify, getTokenInfo',
      'FILE:19:15: log.level: must be one of silent, fatal, error, warn, info, debug, trace',
    ]);
  });

  test.each([
    ['an open bracket', 'token: [', /^FILE:1:\d+: YAML: Flow sequence/],
    [
      'a key that is there twice',
      'token: 1\ntoken: 2\n',
      /^FILE:2:1: YAML: Map keys must be unique$/,
    ],
    ['a tab that indents', 'token:\n\tlabel: x\n', /^FILE:2:1: YAML: Tabs are not allowed/],
    ['a second document', 'a: 1\n---\nb: 2\n', /^FILE:2:1: YAML: /],
    ['a tag that nobody knows', 'token: !secret x\n', /^FILE:1:8: YAML: Unresolved tag/],
    ['a key that is a map', '? { a: 1 }\n: 2\n', /^FILE:1:3: YAML: /],
    ['an alias', 'a: &x 1\nb: *x\n', /^FILE:2:4: YAML: aliases are not allowed/],
  ])('is told of %s', (_, text, problem) => {
    const problems = problemsOf(text);

    expect(problems).toEqual([expect.stringMatching(problem)]);
  });

  test.each([
    ['an empty text', ''],
    ['a comment', '# nothing\n'],
    ['a word', 'sigild'],
    ['a list', '- token'],
  ])('is told that %s is no configuration', (_, text) => {
    const problems = problemsOf(text);

    expect(problems).toEqual([
      expect.stringMatching(/^FILE:1:1: configuration: must be a map of token, algorithms, /),
    ]);
  });

  test.each(['constructor', 'toString', '"a b"', '"a\\nb"'])(
    'is told of the unknown key %s on one line',
    (key) => {
      const problems = problemsOf(`${MINIMAL}${key}: 1\n`);

      expect(problems).toHaveLength(1);
      expect(problems[0]).toMatch(/^FILE:13:1: [^\n]+: unknown key; allowed here: token, .+$/);
    },
  );

  test.each([
    ['uri: "pkcs11:slot-id=3"', 'slot-id is refused: slot numbers change'],
    ['uri: "pkcs11:token=prod?pin-value=1234"', 'pin-value is refused: a PIN has no place'],
    ['label: ""', 'must be text of 1 to 32 bytes'],
    [`label: ${'é'.repeat(17)}`, 'must be text of 1 to 32 bytes'],
    ['hosts: 1', 'token: needs exactly one of label, serial, uri; it has none'],
  ])('names no token: %s', (label, problem) => {
    const problems = problemsOf(withToken({ label }));

    expect(problems).toEqual([expect.stringContaining(problem)]);
    expect(problems[0]).not.toContain('1234');
  });

  test.each([
    ['pinCredential: pin', '$CREDENTIALS_DIRECTORY is not set'],
    ['pinCredential: ../pin', 'must be the name of a systemd credential'],
    ['pin: "1234"', 'needs exactly one of pinFile, pinCredential; it has none'],
  ])('has no PIN: %s', (pinFile, problem) => {
    const problems = problemsOf(withToken({ pinFile }));

    expect(problems).toContainEqual(expect.stringContaining(problem));
    expect(problems.join()).not.toContain('1234');
  });

  test.each([
    ['{ client: backend }', 'needs exactly one of unix, tcp, systemd; it has none'],
    [
      '{ unix: /s, tcp: 127.0.0.1:1, client: backend, plaintext: true }',
      'needs exactly one of unix, tcp, systemd; it has unix, tcp',
    ],
    ['{ unix: /s }', 'needs exactly one of client, peers, tls; it has none'],
    ['{ unix: s, client: backend }', 'listeners[0].unix: must be an absolute path'],
    [`{ unix: /${'s'.repeat(107)}, client: backend }`, 'must have at most 107 bytes'],
    ['{ unix: /s, client: backend, mode: "0999" }', 'must be three octal digits'],
    ['{ unix: /s, client: backend, group: -1 }', "must be a group's name or number"],
    [
      '{ unix: /s, tls: { certificate: /c, key: /k, clientCa: /a } }',
      'a listener with unix has no TLS',
    ],
    ['{ unix: /s, client: backend, plaintext: true }', 'plaintext: is for TCP without tls alone'],
    ['{ tcp: 127.0.0.1:1, client: backend }', 'listeners[0].client: on TCP needs plaintext: true'],
    ['{ tcp: localhost:1, client: backend, plaintext: true }', 'must be an IP address and a port'],
    ['{ tcp: "[::]:1", client: backend, plaintext: true }', 'plaintext is for loopback addresses'],
    ['{ tcp: 127.0.0.1:1, client: backend, plaintext: false }', 'must be true or left out'],
    [
      '{ tcp: 127.0.0.1:1, plaintext: true, tls: { certificate: /c, key: /k, clientCa: /a } }',
      'plaintext: is for TCP without tls alone',
    ],
    [
      '{ tcp: 0.0.0.0:1, mode: "0660", tls: { certificate: /c, key: /k, clientCa: /a } }',
      'only a listener with unix has a mode',
    ],
    ['{ tcp: 127.0.0.1:1, peers: [{ uid: 1, client: backend }] }', 'are for unix sockets alone'],
    ['{ unix: /s, client: backend, peers: [{ uid: 1, client: backend }] }', 'it has client, peers'],
    ['{ unix: /s, peers: [] }', 'listeners[0].peers: must'],
    ['{ unix: /s, peers: [{ client: backend }] }', 'needs exactly one of uid, gid; it has none'],
    ['{ unix: /s, peers: [{ uid: 1, gid: 1, client: backend }] }', 'it has uid, gid'],
    ['{ unix: /s, peers: [{ uid: -1, client: backend }] }', "must be a user's name or number"],
    ['{ unix: /s, peers: [{ gid: "a b", client: backend }] }', "must be a group's name or number"],
    ['{ unix: /s, peers: [{ uid: 1, client: other }] }', 'listeners[0].peers[0].client: no entry'],
    ['{ systemd: x, group: web, client: backend }', 'only a listener with unix has a group'],
    ['{ systemd: "a:b", client: backend }', 'FileDescriptorName'],
    ['{ unix: /s, client: backend }\n  - { unix: /s, client: backend }', 'an earlier listener'],
  ])('has a listener that it cannot have: %s', (listener, problem) => {
    const problems = problemsOf(withListener(listener));

    expect(problems).toContainEqual(expect.stringContaining(problem));
  });

  test('has two clients of one name', () => {
    const problems = problemsOf(
      `${MINIMAL}  - name: backend\n    grants: [{ keys: [a], operations: [sign] }]\n`,
    );

    expect(problems).toEqual([
      'FILE:13:11: clients[1].name: an earlier client has this name; join their grants',
    ]);
  });

  test('has a delay of destructions that it does not allow', () => {
    const problems = problemsOf(`${MINIMAL}keys:\n  destroyDelayMs: 1000\n`);

    expect(problems).toEqual([
      'FILE:14:19: keys.destroyDelayMs: must be minDestroyDelayMs (86400000) at the least',
    ]);
  });

  test.each([
    ['limits: { rates: { callBurst: 5 } }', 'limits.rates.callBurst: needs callsPerSecond'],
    ['limits: { ratesPerClient: { byteBurst: 5000 } }', 'needs bytesPerSecond beside it'],
    ['limits: { rates: { callsPerSecond: 0 } }', 'must be an integer from 1 to 1000000'],
    ['limits: { rates: { callsPerHour: 1 } }', 'unknown key; allowed here: callsPerSecond'],
  ])('limits rates in a way that says nothing: %s', (limits, problem) => {
    const problems = problemsOf(`${MINIMAL}${limits}\n`);

    expect(problems).toEqual([expect.stringContaining(problem)]);
  });

  test("gives a client's burst a rate in one of two places", () => {
    const text = MINIMAL.replace('    grants:', '    limits: { callBurst: 5 }\n    grants:');
    const rates = 'limits: { ratesPerClient: { callsPerSecond: 1 } }\n';

    expect(problemsOf(text)).toEqual([
      'FILE:10:26: clients[0].limits.callBurst: needs callsPerSecond beside it',
    ]);
    expect(problemsOf(text + rates)).toEqual([]);
  });

  test.each(['listeners', 'clients'])('has no %s', (key) => {
    const text = MINIMAL.replace(new RegExp(`^${key}:\\n( .*\\n)+`, 'm'), `${key}: []\n`);

    const problems = problemsOf(text);

    expect(problems).toEqual([expect.stringContaining(`${key}: must be a list of at least one`)]);
  });

  test('allows no algorithm', () => {
    const problems = problemsOf(`${MINIMAL}algorithms: []\n`);

    expect(problems).toEqual(['FILE:13:13: algorithms: must be a list of at least one algorithm']);
  });

  test('is a file that is not there, and its message names the file', () => {
    const file = join(tmpdir(), 'sigild-no-such-folder', 'config.yaml');

    expect(() => loadConfig(file, {})).toThrow(`${file}: cannot be read: ENOENT`);
  });
});

describe('the expiry of a grant', () => {
  const expiring = (time: string) =>
    MINIMAL.replace('operations: [sign]', `operations: [sign]\n        expires: ${time}`);

  test.each([
    ['2027-01-01T00:00:00Z', Date.UTC(2027, 0, 1)],
    ['"2027-01-01T00:00:00.5+02:00"', Date.UTC(2026, 11, 31, 22, 0, 0, 500)],
  ])('is %s', (time, expiresAtMs) => {
    expect(load(expiring(time)).clients[0]?.grants[0]).toEqual({
      ...{ keys: ['*'], operations: ['sign'], expiresAtMs },
    });
  });

  test.each([
    '2027-01-01',
    '2027-01-01T00:00:00',
    '2027-02-30T00:00:00Z',
    '2027-01-01T00:00Z',
    '90d',
    '5',
  ])('cannot be %s', (time) => {
    expect(problemsOf(expiring(time))).toEqual([
      expect.stringMatching(
        /^FILE:13:18: clients\[0\]\.grants\[0\]\.expires: must be a time with its zone as RFC 3339/,
      ),
    ]);
  });
});

describe('the place of metrics', () => {
  test.each([
    ['127.0.0.1:9464', { kind: 'tcp', host: '127.0.0.1', port: 9464 }],
    ['"[::1]:9464"', { kind: 'tcp', host: '::1', port: 9464 }],
    ['/run/sigild/metrics.sock', { kind: 'unix', path: '/run/sigild/metrics.sock', mode: 0o660 }],
  ])('can be %s', (listen, address) => {
    expect(load(`${MINIMAL}metrics: { listen: ${listen} }\n`).metrics.listen).toMatchObject(
      address,
    );
  });

  test.each(['0.0.0.0:9464', '"[::]:9464"', 'localhost:9464', 'metrics.sock', '9464'])(
    'cannot be %s',
    (listen) => {
      expect(problemsOf(`${MINIMAL}metrics: { listen: ${listen} }\n`)).toEqual([
        expect.stringMatching(
          /^FILE:13:20: metrics\.listen: must be a loopback address and a port/,
        ),
      ]);
    },
  );
});

test('the revocation list of clients is one of the files of TLS', () => {
  const tls = 'certificate: /tls.crt, key: /tls.key, clientCa: /ca.crt';

  const [listener] = load(
    withListener(`{ tcp: 0.0.0.0:7443, tls: { ${tls}, clientCrl: /clients.crl } }`),
  ).listeners;

  expect(listener?.identity).toMatchObject({ tls: { clientCrl: '/clients.crl' } });
});
