import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/config/config-error.ts';
import {
  assertSafeEnvironment,
  credentialsDirectory,
  hostEnvironment,
  notifySocket,
  passedSockets,
  sigildAddress,
  watchdogLimitMs,
} from '../../src/config/environment.ts';

const PID = 4711;

describe('passed sockets', () => {
  test('are counted from descriptor 3 and found by their names', () => {
    const environment = {
      LISTEN_PID: '4711',
      LISTEN_FDS: '3',
      LISTEN_FDNAMES: 'sigild.socket:tls:sigild.socket',
    };

    const sockets = passedSockets(environment, PID);

    expect([...sockets]).toEqual([
      ['sigild.socket', [3, 5]],
      ['tls', [4]],
    ]);
  });

  test('without names are called unknown', () => {
    const sockets = passedSockets({ LISTEN_PID: '4711', LISTEN_FDS: '1' }, PID);

    expect([...sockets]).toEqual([['unknown', [3]]]);
  });

  test.each([
    ['none are passed', {}],
    ['they are for another process', { LISTEN_PID: '4712', LISTEN_FDS: '1' }],
    ['their number is no number', { LISTEN_PID: '4711', LISTEN_FDS: '-1' }],
    ['there are zero', { LISTEN_PID: '4711', LISTEN_FDS: '0' }],
  ])('are none when %s', (_, environment) => {
    expect(passedSockets(environment, PID).size).toBe(0);
  });
});

describe('the watchdog', () => {
  test.each([
    ['is for this process', { WATCHDOG_USEC: '30000000', WATCHDOG_PID: '4711' }, 30_000],
    ['names no process', { WATCHDOG_USEC: '1500' }, 1.5],
    ['is for another process', { WATCHDOG_USEC: '30000000', WATCHDOG_PID: '4712' }, undefined],
    ['is off', { WATCHDOG_USEC: '0' }, undefined],
    ['is nonsense', { WATCHDOG_USEC: 'soon' }, undefined],
    ['is not there', {}, undefined],
  ])('%s', (_, environment, limitMs) => {
    expect(watchdogLimitMs(environment, PID)).toBe(limitMs);
  });
});

test('takes empty variables for absent ones', () => {
  const environment = { NOTIFY_SOCKET: '', CREDENTIALS_DIRECTORY: '', SIGILD_ADDRESS: '' };

  expect(notifySocket(environment)).toBeUndefined();
  expect(credentialsDirectory(environment)).toBeUndefined();
  expect(sigildAddress(environment)).toBeUndefined();
});

test('gives a token host all but what is for the daemon alone', () => {
  const environment = {
    PATH: '/usr/bin',
    SOFTHSM2_CONF: '/etc/softhsm2.conf',
    CREDENTIALS_DIRECTORY: '/run/credentials/sigild.service',
    NOTIFY_SOCKET: '/run/systemd/notify',
    NOTIFY_SOCKET_OF_A_VENDOR: 'kept',
    LISTEN_PID: '1',
    LISTEN_FDS: '1',
    LISTEN_FDNAMES: 'x',
    WATCHDOG_USEC: '1',
    WATCHDOG_PID: '1',
    NODE_OPTIONS: '--inspect',
    SIGILD_ADDRESS: 'unix:/x',
    UNSET: undefined,
  };

  expect(hostEnvironment(environment)).toEqual({
    PATH: '/usr/bin',
    SOFTHSM2_CONF: '/etc/softhsm2.conf',
    CREDENTIALS_DIRECTORY: '/run/credentials/sigild.service',
    NOTIFY_SOCKET_OF_A_VENDOR: 'kept',
  });
});

test('is refused when it would send inner errors to clients', () => {
  const environment = { GRPC_NODE_DEBUG_SEND_ERROR_DETAILS: 'true' };

  expect(() => assertSafeEnvironment(environment)).toThrow(ConfigError);
  expect(() => assertSafeEnvironment({})).not.toThrow();
});
