import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { ConfigError } from '../../src/config/config-error.ts';
import { passedSockets, watchdogLimitMs } from '../../src/config/environment.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { loadPlan } from '../../src/config/plan.ts';
import { parseTcpAddress } from '../../src/config/tcp-address.ts';
import { isTokenUriProblem, parseTokenUri } from '../../src/config/token-uri.ts';
import { isKeyName } from '../../src/domain/key.ts';
import { MINIMAL } from '../support/config-file.ts';
import { corpus, FUZZ_TIMEOUT_MS, inputs, mutated, mutatedText } from '../support/fuzz.ts';

const folder = mkdtempSync(join(tmpdir(), 'sigild-any-plan-'));
const file = join(folder, 'document.yaml');

afterAll(() => rmSync(folder, { recursive: true }));

const CORPUS: [Buffer][] = corpus('documents').map(({ bytes }) => [bytes]);
/** Without those that are there for their length. */
const SEEDS = [
  ...CORPUS.flat().filter(({ byteLength }) => byteLength < 1_000),
  Buffer.from(MINIMAL),
];
const document = mutated(fc.constantFrom(...SEEDS));

/** What a reader gives, or undefined when it says what is wrong. */
function loaded<Result>(load: (file: string) => Result, bytes: Buffer): Result | undefined {
  writeFileSync(file, bytes);
  try {
    return load(file);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).messages.length).toBeGreaterThan(0);
    return undefined;
  }
}

test('any bytes are a plan or told of', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(document, (bytes) => {
      for (const { name } of loaded(loadPlan, bytes) ?? []) expect(isKeyName(name)).toBe(true);
    }),
    { ...inputs(200), examples: CORPUS },
  );
});

test('any bytes are a configuration or told of', { timeout: FUZZ_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(document, (bytes) => {
      loaded(loadConfig, bytes);
    }),
    { ...inputs(200), examples: CORPUS },
  );
});

test('any URI names a token or is told of', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const uri = mutatedText(fc.constant('pkcs11:token=a%20b;serial=12;model=m?pin-source=file:x'));
  fc.assert(
    fc.property(uri, (text) => {
      const result = parseTokenUri(text);

      if (isTokenUriProblem(result)) expect(result.problem).not.toBe('');
      else expect(Object.values(result).length).toBeGreaterThan(0);
    }),
    inputs(500),
  );
});

test('any address is one or none', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const text = mutatedText(fc.constantFrom('127.0.0.1:7400', '[::1]:0', '[fe80::1%eth0]:65535'));
  fc.assert(
    fc.property(text, (address) => {
      const { port = 0 } = parseTcpAddress(address) ?? {};

      expect(port).toBeGreaterThanOrEqual(0);
      expect(port).toBeLessThanOrEqual(65_535);
    }),
    inputs(500),
  );
});

test('any environment of a service manager is understood', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const value = fc.oneof(mutatedText(fc.constantFrom('1', '3', 'a:b', '999999')), fc.string());
  fc.assert(
    fc.property(value, value, value, (count, names, limit) => {
      const environment = {
        ...{ LISTEN_PID: '7', LISTEN_FDS: count, LISTEN_FDNAMES: names },
        ...{ WATCHDOG_PID: '7', WATCHDOG_USEC: limit },
      };
      const descriptors = [...passedSockets(environment, 7).values()].flat();

      expect(descriptors.length).toBeLessThanOrEqual(1_024);
      expect(watchdogLimitMs(environment, 7) ?? 1).toBeGreaterThan(0);
    }),
    inputs(500),
  );
});
