import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { credentialsFor, parseAddress } from '../../src/admin/daemon-address.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-address-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

test.each([
  ['a unix socket', 'unix:/run/sigild/sock', 'unix:/run/sigild/sock', true],
  ['a unix socket as a URI', 'unix:///run/sock', 'unix:/run/sock', true],
  ['a relative unix socket', 'unix:.dev/sock', `unix:${process.cwd()}/.dev/sock`, true],
  ['an IPv4 loopback address', '127.0.0.2:7000', 'dns:127.0.0.2:7000', true],
  ['the IPv6 loopback address', '[::1]:7000', 'dns:[::1]:7000', true],
  ['localhost', 'localhost:7000', 'dns:localhost:7000', true],
  ['another IPv4 address', '10.0.0.1:7000', 'dns:10.0.0.1:7000', false],
  ['another IPv6 address', '[2001:db8::1]:7000', 'dns:[2001:db8::1]:7000', false],
  ['a host name', 'sigild.example:7000', 'dns:sigild.example:7000', false],
])('reads %s', (_, text, target, isLocal) => {
  expect(parseAddress(text)).toEqual({ target, isLocal });
});

test.each([
  ['nothing', ''],
  ['a socket without a path', 'unix:'],
  ['a host without a port', 'localhost'],
  ['port 0', 'localhost:0'],
  ['a port that is too high', 'localhost:65536'],
  ['IPv6 without brackets', '::1:7000'],
  ['IPv4 in brackets', '[127.0.0.1]:7000'],
  ['another scheme', 'https://localhost:7000'],
  ['a scheme of the gRPC library', 'xds:sigild'],
])('refuses %s', (_, text) => {
  expect(() => parseAddress(text)).toThrow(expect.objectContaining({ reason: 'USAGE' }));
});

test('speaks plaintext to a local daemon', () => {
  const credentials = credentialsFor(parseAddress('127.0.0.1:7000'), {});

  expect(credentials._isSecure()).toBe(false);
});

test('speaks no plaintext to a remote daemon', () => {
  expect(() => credentialsFor(parseAddress('10.0.0.1:7000'), {})).toThrow(
    expect.objectContaining({ reason: 'USAGE' }),
  );
});

test.each([{ ca: 'ca.pem' }, { cert: 'cert.pem', keyFile: 'key.pem' }])(
  'refuses some of the TLS files without the others: %o',
  (files) => {
    expect(() => credentialsFor(parseAddress('127.0.0.1:7000'), files)).toThrow(
      expect.objectContaining({ reason: 'USAGE' }),
    );
  },
);

test('names a TLS file that cannot be read', () => {
  const missing = join(folder, 'missing.pem');

  expect(() =>
    credentialsFor(parseAddress('127.0.0.1:7000'), {
      ca: missing,
      cert: missing,
      keyFile: missing,
    }),
  ).toThrow(
    expect.objectContaining({
      reason: 'CONFIGURATION',
      message: expect.stringContaining(`${missing} cannot be read`),
    }),
  );
});

test('names TLS files that are no PEM, without what they hold', () => {
  const file = join(folder, 'file.pem');
  writeFileSync(file, 'content of a secret file');

  const act = () =>
    credentialsFor(parseAddress('127.0.0.1:7000'), { ca: file, cert: file, keyFile: file });

  expect(act).toThrow(expect.objectContaining({ reason: 'CONFIGURATION' }));
  expect(act).not.toThrow(/content of/);
});
