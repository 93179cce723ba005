import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { ConfigError } from '../../src/config/config-error.ts';
import { Reload } from '../../src/reload.ts';
import { ListenerError } from '../../src/rpc/listener-error.ts';
import type { TlsRenewal } from '../../src/rpc/tls-server.ts';
import type { Grant } from '../../src/service/access-policy.ts';
import { load, MINIMAL } from '../support/config-file.ts';

const RETRY_MS = 10_000;
const OTHER = MINIMAL.replace('[sign]', '[verify]');

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A reload over files that a test writes as values, and all that came of it. */
function reloading() {
  const files: { config: () => Config; tls: () => TlsRenewal } = {
    config: () => load(MINIMAL),
    tls: () => ({ changed: [], apply: () => 0 }),
  };
  const lines: { readonly level: string; readonly fields: unknown; readonly text: string }[] = [];
  const line = (level: string) => (fields: unknown, text?: string) => {
    lines.push(
      text === undefined ? { level, fields: {}, text: String(fields) } : { level, fields, text },
    );
  };
  const ends: boolean[] = [];
  let grants: ReadonlyMap<string, readonly Grant[]> | undefined;
  const reload = new Reload({
    config: load(MINIMAL),
    read: () => files.config(),
    policy: {
      replace: (replaced) => {
        grants = replaced;
      },
    },
    server: { prepareTls: () => files.tls() },
    log: { info: line('info'), warn: line('warn'), error: line('error') },
    onEnd: (succeeded) => ends.push(succeeded),
  });
  return { reload, files, lines, ends, grants: () => grants };
}

test('clients that have changed get their grants, and the log names them', () => {
  const { reload, files, lines, grants } = reloading();
  files.config = () => load(OTHER);

  reload.run({ asked: false });

  expect(grants()?.get('backend')).toMatchObject([{ operations: ['verify'] }]);
  expect(lines).toMatchObject([
    { level: 'info', fields: { clients: { added: [], removed: [], changed: ['backend'] } } },
  ]);
});

test('files that have changed are put to use, and the log names them', () => {
  const { reload, files, lines } = reloading();
  files.tls = () => ({ changed: ['/tls.crt'], apply: () => 2 });

  reload.run({ asked: false });

  expect(lines).toMatchObject([
    { level: 'info', fields: { files: ['/tls.crt'], closedConnections: 2 } },
  ]);
});

test('without a change it says something to who asked alone', () => {
  const { reload, lines } = reloading();

  reload.run({ asked: false });
  const unasked = lines.length;
  reload.run({ asked: true });

  expect(unasked).toBe(0);
  expect(lines).toMatchObject([
    { level: 'info', text: expect.stringContaining('nothing has changed') },
  ]);
});

test('a configuration that is wrong changes nothing, and neither do files beside it', () => {
  const { reload, files, lines, ends, grants } = reloading();
  const apply = vi.fn(() => 0);
  const problem = 'config.yaml:3:1: token: unknown key';
  files.config = () => {
    throw new ConfigError([problem]);
  };
  files.tls = () => ({ changed: ['/tls.crt'], apply });

  reload.run({ asked: false });

  expect(apply).not.toHaveBeenCalled();
  expect(grants()).toBeUndefined();
  expect(ends).toEqual([false]);
  expect(lines).toMatchObject([{ level: 'error', fields: { problems: [problem] } }]);
});

test('files that cannot be used change nothing, and neither does a configuration beside them', () => {
  const { reload, files, lines, grants } = reloading();
  files.config = () => load(OTHER);
  files.tls = () => {
    throw new ListenerError('configuration', 'cannot use /tls.crt: no start line');
  };

  reload.run({ asked: false });

  expect(grants()).toBeUndefined();
  expect(reload.clients).toMatchObject([{ grants: [{ operations: ['sign'] }] }]);
  expect(lines).toMatchObject([
    { level: 'error', fields: { problems: ['cannot use /tls.crt: no start line'] } },
  ]);
});

test('what cannot be used is tried again, told of once, and used when it is mended', async () => {
  const { reload, files, lines, ends, grants } = reloading();
  files.config = () => {
    throw new ConfigError(['config.yaml: cannot be read: EMFILE']);
  };
  reload.run({ asked: false });
  await vi.advanceTimersByTimeAsync(2 * RETRY_MS);

  files.config = () => load(OTHER);
  await vi.advanceTimersByTimeAsync(2 * RETRY_MS);

  expect(ends).toEqual([false, false, false, true]);
  expect(lines.map(({ level }) => level)).toEqual(['error', 'info']);
  expect(grants()?.get('backend')).toMatchObject([{ operations: ['verify'] }]);
});

test('a problem that goes without a change is told to have gone', () => {
  const { reload, files, lines } = reloading();
  files.config = () => {
    throw new ConfigError(['config.yaml: cannot be read: EMFILE']);
  };
  reload.run({ asked: false });

  files.config = () => load(MINIMAL);
  reload.run({ asked: false });

  expect(lines.map(({ level }) => level)).toEqual(['error', 'info']);
});

test('an operator who asks again is told of the same problem again', () => {
  const { reload, files, lines } = reloading();
  files.config = () => {
    throw new ConfigError(['config.yaml: cannot be read: EACCES']);
  };

  reload.run({ asked: true });
  reload.run({ asked: true });

  expect(lines.map(({ level }) => level)).toEqual(['error', 'error']);
});

test('settings that need a restart are named once', () => {
  const { reload, files, lines } = reloading();
  files.config = () => load(`${MINIMAL}log: { level: debug }\n`);

  reload.run({ asked: false });
  reload.run({ asked: false });

  expect(lines).toMatchObject([{ level: 'warn', fields: { settings: ['log.level'] } }]);
});

test('after its end it tries nothing again', async () => {
  const { reload, files, ends } = reloading();
  files.config = () => {
    throw new ConfigError(['config.yaml: cannot be read: EMFILE']);
  };
  reload.run({ asked: false });

  reload.stop();
  await vi.advanceTimersByTimeAsync(2 * RETRY_MS);

  expect(ends).toEqual([false]);
});
