import { expect, test } from 'vitest';
import { isLoopback, parseTcpAddress } from '../../src/config/tcp-address.ts';

test.each([
  ['127.0.0.1:7400', { host: '127.0.0.1', port: 7400 }],
  ['0.0.0.0:0', { host: '0.0.0.0', port: 0 }],
  ['[::1]:65535', { host: '::1', port: 65_535 }],
  ['[2001:db8::7]:443', { host: '2001:db8::7', port: 443 }],
])('reads %s', (text, address) => {
  expect(parseTcpAddress(text)).toEqual(address);
});

test.each([
  '127.0.0.1',
  '127.0.0.1:',
  '127.0.0.1:65536',
  '127.0.0.1:-1',
  '127.0.0.1:7400 ',
  '127.1:7400',
  'localhost:7400',
  '::1:7400',
  '[127.0.0.1]:7400',
  '[::1]',
  ':7400',
  '7400',
  '',
])('refuses %j', (text) => {
  expect(parseTcpAddress(text)).toBeUndefined();
});

test.each([
  ['127.0.0.1', true],
  ['127.255.255.254', true],
  ['::1', true],
  ['0:0:0:0:0:0:0:1', true],
  ['0.0.0.0', false],
  ['128.0.0.1', false],
  ['::', false],
  ['::2', false],
  ['fe80::1', false],
])('knows whether %s is a loopback address: %s', (host, loopback) => {
  expect(isLoopback({ host, port: 1 })).toBe(loopback);
});
