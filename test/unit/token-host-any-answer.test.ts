import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { Dispatcher } from '../../src/token-host/dispatcher.ts';
import { FingerprintRegister } from '../../src/token-host/fingerprint-register.ts';
import { numberFrame } from '../../src/token-host/frames.ts';
import type { Host } from '../../src/token-host/host.ts';
import { HostedKeys } from '../../src/token-host/hosted-keys.ts';
import { encodeAnswer, encodeIndexes } from '../../src/token-host/mac-frames.ts';
import {
  encodeFailure,
  encodeJson,
  OUTCOME,
  publicKeysAnswer,
} from '../../src/token-host/protocol.ts';
import { FakeHost, turn } from '../support/fake-host.ts';
import { corpus, FUZZ_TIMEOUT_MS, inputs, mutated } from '../support/fuzz.ts';
import { keyVersion } from '../support/key-version.ts';

const VERSION = keyVersion();
const FINGERPRINTS = [{ id: VERSION.id, mac: Buffer.alloc(16, 1) }];
const MAC = Buffer.alloc(32, 2);
const DATA = [Buffer.from('data')];

const HONEST = {
  sign: encodeAnswer(MAC, FINGERPRINTS),
  verify: encodeAnswer(encodeIndexes([0]), FINGERPRINTS),
  publicKeys: encodeJson(
    OUTCOME.done,
    publicKeysAnswer({ result: [Buffer.from('spki')], fingerprints: FINGERPRINTS }),
  ),
};

type Operation = keyof typeof HONEST;

const answers = [
  ...Object.values(HONEST),
  encodeFailure(OUTCOME.failed, new SigildError('KEY_NOT_FOUND', 'no such key')),
  encodeFailure(OUTCOME.lost, new SigildError('TOKEN_UNAVAILABLE', 'the token is gone')),
  ...corpus('host-payloads').map(({ bytes }) => bytes),
];

/** A dispatcher with one host, and what is done with keys over it. */
function start() {
  const dispatcher = new Dispatcher<FakeHost>({ maxWaiting: 10, onHostLost: () => undefined });
  const addHost = () => {
    const host = new FakeHost();
    dispatcher.addHost(host);
    return host;
  };
  const keys = new HostedKeys({
    dispatcher: dispatcher as unknown as Dispatcher<Host>,
    fingerprints: new FingerprintRegister(),
    ...{ callTimeoutMs: 60_000, scanLimitMs: 60_000 },
  });
  const { signal } = new AbortController();
  const ask: Readonly<Record<Operation, () => Promise<readonly unknown[]>>> = {
    sign: () => keys.sign(VERSION, DATA, signal),
    verify: () => keys.verify([VERSION], [{ data: Buffer.from('data'), mac: MAC }], signal),
    publicKeys: () => keys.publicKeys([VERSION], signal),
  };
  return { dispatcher, addHost, ask };
}

/** What a host writes, as one with the number of the call that it was given, or another. */
function numbered(answer: Buffer, call: number): Buffer {
  const frame = Buffer.from(answer);
  if (frame.byteLength >= 8) numberFrame(frame, call);
  return frame;
}

test('whatever a host answers, its call has one outcome, and the next host is believed', {
  timeout: FUZZ_TIMEOUT_MS,
}, async () => {
  const lie = fc.tuple(mutated(fc.constantFrom(...answers)), fc.constantFrom(0, 0, 0, 0, 1, 7));
  const property = fc.asyncProperty(
    ...([fc.constantFrom<Operation>('sign', 'verify', 'publicKeys'), lie] as const),
    async (operation, [answer, call]) => {
      const { dispatcher, addHost, ask } = start();
      const liar = addHost();
      const outcome = ask[operation]().catch((error: unknown) => error);
      await turn();
      await turn();

      liar.sessions[0]?.pipe.push(numbered(answer, call));
      await turn();
      await liar.exit();
      const honest = addHost();
      await turn();
      await turn();
      if (honest.pending.length > 0) honest.sessions[0]?.pipe.push(numbered(HONEST[operation], 0));

      const result = await outcome;
      dispatcher.close();
      if (!(result instanceof SigildError)) {
        expect(result).toHaveLength(1);
        if (operation === 'sign') expect((result as Buffer[])[0]?.byteLength).toBe(MAC.byteLength);
        if (operation === 'verify') expect([[VERSION], [undefined]]).toContainEqual(result);
      }
      await honest.exit();
    },
  );
  await fc.assert(property, inputs(300));
});
