import { describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { createLog } from '../../src/lifecycle/log.ts';

function logInMemory(level: 'info' | 'debug' = 'info') {
  const lines: string[] = [];
  const log = createLog(level, { write: (line: string) => void lines.push(line) });
  const records = (): unknown[] => lines.map((line) => JSON.parse(line));
  return { log, lines, records };
}

test('writes one JSON object a line, with level and time as text', () => {
  const { log, lines, records } = logInMemory();

  log.info({ listener: 'unix:/run/sigild.sock' }, 'listening');

  expect(lines).toEqual([expect.stringMatching(/^\{[^\n]+\}\n$/)]);
  expect(records()).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      pid: process.pid,
      listener: 'unix:/run/sigild.sock',
      msg: 'listening',
    },
  ]);
});

test('writes nothing below its level', () => {
  const { log, lines } = logInMemory('info');

  log.debug('request');

  expect(lines).toEqual([]);
});

describe('a secret field', () => {
  test.each(['data', 'mac', 'pin', 'signature'])('%s is redacted down to two levels', (field) => {
    const { log, lines } = logInMemory('debug');
    const secret = { [field]: 'geheim' };

    log.debug({ ...secret, request: secret, batch: [secret], item: { inner: secret } }, 'request');

    expect(lines.join()).not.toContain('geheim');
    expect(lines.join().match(/\[Redacted\]/g)).toHaveLength(4);
  });

  test('of an error stays out', () => {
    const { log, lines } = logInMemory();

    log.error({ err: Object.assign(new Error('failed'), { details: 'geheim' }) }, 'defect');

    expect(lines.join()).not.toContain('geheim');
  });
});

describe('an error', () => {
  test('stands in the log with its reason, its stack and its causes', () => {
    const { log, records } = logInMemory();
    const root = Object.assign(new Error('no such file'), { code: 'ENOENT' });
    const cause = new Error('C_Sign failed', { cause: root });

    log.error({ err: new SigildError('TOKEN_UNAVAILABLE', 'token gone', { cause }) }, 'lost');

    expect(records()).toMatchObject([
      {
        msg: 'lost',
        err: {
          type: 'SigildError',
          message: 'token gone',
          reason: 'TOKEN_UNAVAILABLE',
          stack: expect.stringContaining('lifecycle-log.test.ts'),
          cause: {
            type: 'Error',
            message: 'C_Sign failed',
            cause: { type: 'Error', message: 'no such file', code: 'ENOENT' },
          },
        },
      },
    ]);
  });

  test('that is its own cause does not hang the log', () => {
    const { log, lines } = logInMemory();
    const error: Error & { cause?: unknown } = new Error('round');
    error.cause = error;

    log.error({ err: error }, 'defect');

    expect(lines.join().match(/"message":"round"/g)).toHaveLength(9);
  });

  test('that is no Error shows its type alone', () => {
    const { log, records } = logInMemory();

    log.error({ err: Buffer.from('geheim') }, 'defect');

    expect(records()).toMatchObject([{ err: { type: 'object' } }]);
  });
});
