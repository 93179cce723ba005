import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ControlChannel } from '../../src/token-host/control-channel.ts';
import { turn } from '../support/fake-host.ts';
import { FUZZ_TIMEOUT_MS, inputs, mutatedText } from '../support/fuzz.ts';

function open() {
  const written: Buffer[] = [];
  const pipe = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      written.push(chunk);
      done();
    },
  });
  const messages: unknown[] = [];
  const told = { nonsense: 0, closed: 0 };
  const channel = new ControlChannel(pipe, {
    onMessage: (message) => messages.push(message),
    onNonsense: () => {
      told.nonsense += 1;
    },
    onClose: () => {
      told.closed += 1;
    },
  });
  return { pipe, channel, messages, told, written };
}

describe('messages', () => {
  test('arrive as they were sent, however they are cut', async () => {
    const sender = open();
    const { pipe, messages } = open();
    const sent = [{ type: 'ready', lanes: [0, 1] }, { text: 'line\nend' }, {}];

    for (const message of sent) sender.channel.send(message);
    for (const byte of Buffer.concat(sender.written)) pipe.push(Buffer.from([byte]));
    await turn();

    expect(messages).toEqual(sent);
  });

  test('are told of when they have left, or when the pipe has closed', async () => {
    const { channel, told } = open();
    const outcomes: string[] = [];

    channel.send({}, () => outcomes.push('sent'));
    await turn();
    channel.close();
    channel.send({}, () => outcomes.push('closed'));
    await turn();

    expect(outcomes).toEqual(['sent', 'closed']);
    expect(told.closed).toBe(1);
  });
});

describe('what is no message', () => {
  test('is told of once, and nothing after it is read', async () => {
    const { pipe, messages, told } = open();

    pipe.push('{"a":1}\nnonsense\n{"b":2}\nnonsense\n');
    await turn();

    expect(messages).toEqual([{ a: 1 }]);
    expect(told.nonsense).toBe(1);
  });

  test('is noticed when it has no end', async () => {
    const { pipe, messages, told } = open();

    for (let sent = 0; sent < 40; sent += 1) pipe.push(Buffer.alloc(8_192, 'x'));
    await turn();

    expect(messages).toEqual([]);
    expect(told.nonsense).toBe(1);
  });

  test('never throws, whatever it is', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const text = mutatedText(fc.constant('{"type":"defect","stack":"Error"}\nnull\n[1]\n'));
    await fc.assert(
      fc.asyncProperty(text, async (lines) => {
        const { pipe, told } = open();

        pipe.push(lines);
        await turn();

        expect(told.nonsense).toBeLessThanOrEqual(1);
      }),
      inputs(200),
    );
  });
});
