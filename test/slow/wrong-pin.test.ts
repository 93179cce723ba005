import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { EXIT_CODES } from '../../src/lifecycle/exit-codes.ts';
import { startCheckedLoad } from '../support/checked-load.ts';
import { connectClient } from '../support/client.ts';
import { baseConfig, runDaemonToEnd, startDaemon } from '../support/daemon.ts';
import { hostPids } from '../support/host-pids.ts';
import {
  createOpenCryptoki,
  type OpenCryptoki,
  whyNoOpenCryptoki,
} from '../support/opencryptoki.ts';
import { type Pkcs11Shim, pkcs11Shim } from '../support/pkcs11-shim.ts';
import { supervise } from '../support/supervisor.ts';
import { until } from '../support/wait.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const WRONG_PIN = '99999999';
const RESTARTS = 20;

const LIMIT_MS = 60_000;

const missing = whyNoOpenCryptoki();
if (missing) process.stderr.write(`No tests on openCryptoki: ${missing}.\n`);

let token: OpenCryptoki;
/** Passes every call on, and counts them. */
let shim: Pkcs11Shim;

beforeEach(async () => {
  if (missing) return;
  token = await createOpenCryptoki();
  shim = pkcs11Shim(token);
});

afterEach(() => token?.remove());

/** A daemon that sees the token, and whose calls to it are counted. */
function options() {
  const { token: settings } = baseConfig(token);
  return {
    config: { token: { ...(settings as object), module: shim.module } },
    environment: shim.environment,
    launcher: token.launcher,
  };
}

describe.runIf(missing === undefined)(
  'a PIN that openCryptoki refuses, and locks after three tries',
  () => {
    test('fault 7 [openCryptoki]: a wrong PIN at the start is tried once in 20 supervised restarts, and the token is not locked', async () => {
      writeFileSync(token.pinFile, WRONG_PIN);

      const { runs, last } = await supervise(() => runDaemonToEnd(token, options()), RESTARTS);

      expect({ runs, exit: last.exit }).toEqual({ runs: 1, exit: EXIT_CODES.WRONG_PIN });
      expect(shim.calls('C_Login')).toBe(1);
      expect(last.stderr).toMatch(
        /refused the PIN .*: put the right PIN in place, then start over/,
      );
      expect(last.stderr).not.toContain(WRONG_PIN);
      expect(() => token.logIn(token.pin)).not.toThrow();
      for (let tries = 0; tries < 3; tries += 1) expect(() => token.logIn(WRONG_PIN)).toThrow();
      expect(() => token.logIn(token.pin)).toThrow('CKR_PIN_LOCKED');
    });

    test('fault 7 [openCryptoki]: a PIN that is changed while the daemon runs is tried once, by the next token host, and the others serve on', async () => {
      const keys = new Map([['adopted-key', randomBytes(32)]]);
      for (const [label, value] of keys) token.writeKey(label, value);
      const daemon = await startDaemon(token, options());
      const client = connectClient(daemon.addresses[0] as string, undefined, LIMIT_MS);
      const load = startCheckedLoad(client, keys, 4);
      const told = (text: string) => daemon.logLines.filter(({ msg }) => msg === text);
      try {
        await until(() => hostPids(daemon).length === 2 && load.right() > 20, LIMIT_MS);
        await until(() => told('the token host for changes is logged in').length > 0, LIMIT_MS);
        const logins = shim.calls('C_Login');
        token.changePin('55667788');

        process.kill(hostPids(daemon)[0] as number, 'SIGKILL');
        await until(() => told('a token host could not start').length > 0, LIMIT_MS);
        const right = load.right();
        await until(() => load.right() > right + 20, LIMIT_MS);
        expect(load.failures).toEqual([]);

        process.kill(hostPids(daemon)[0] as number, 'SIGKILL');
        expect(await daemon.exited).toBe(EXIT_CODES.WRONG_PIN);
        expect(shim.calls('C_Login')).toBe(logins + 1);
        expect(JSON.stringify(told('a token host could not start'))).toMatch(
          /put the right PIN in place, then start over/,
        );
        expect(load.wrong).toEqual([]);
        expect(() => token.logIn(token.pin)).not.toThrow();
      } finally {
        await load.end();
        client.close();
        await daemon.stop();
      }
    });
  },
);
