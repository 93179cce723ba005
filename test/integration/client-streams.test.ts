import { createHmac, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Client, type ConnectOptions, connect } from '../../src/client/client.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { eventually } from '../support/wait.ts';

const value = Buffer.alloc(32, 7);

let rpc: RpcFixture;
let client: Client;
const clients: Client[] = [];

beforeEach(async () => {
  rpc = startRpc();
  rpc.token.writeKey('shop', value);
  client = open({ address: await rpc.listen() });
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((opened) => opened.close()));
  await rpc.close();
});

function open(options: ConnectOptions): Client {
  const opened = connect(options);
  clients.push(opened);
  return opened;
}

function macOf(data: Uint8Array): Buffer {
  return createHmac('sha256', value).update(data).digest();
}

/** A source of pieces that tells whether it was read to its end, and whether it was closed. */
class Source implements AsyncIterable<Uint8Array> {
  yielded = 0;
  isClosed = false;
  readonly #pieces: Iterable<Uint8Array>;

  constructor(pieces: Iterable<Uint8Array>) {
    this.#pieces = pieces;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (const piece of this.#pieces) {
        yield piece;
        this.yielded += 1;
      }
    } finally {
      this.isClosed = true;
    }
  }
}

function* endless(): Generator<Uint8Array> {
  for (;;) yield Buffer.alloc(65_536);
}

test.each([
  ['no piece', []],
  ['empty pieces', [0, 0]],
  ['pieces of all sizes', [1, 0, 1_000_000, 64]],
])('signs and verifies %s', async (_, lengths) => {
  const pieces = lengths.map((bytes) => randomBytes(bytes));
  const key = client.key('shop');

  const signed = await key.signStream(new Source(pieces), { version: 1 });
  const verification = await key.verifyStream(new Source(pieces), signed.signature);

  expect(Buffer.from(signed.signature)).toEqual(macOf(Buffer.concat(pieces)));
  expect(signed).toMatchObject({ version: 1, algorithm: 'HMAC_SHA256' });
  expect(verification).toEqual({ valid: true, version: 1 });
});

test('signs what a Readable yields', async () => {
  const data = randomBytes(300_000);
  const source = Readable.from([data.subarray(0, 7), data.subarray(7)]);

  const { signature } = await client.key('shop').signStream(source);

  expect(Buffer.from(signature)).toEqual(macOf(data));
});

test('answers that a signature is not valid', async () => {
  const source = new Source([Buffer.from('data')]);

  expect(await client.key('shop').verifyStream(source, Buffer.alloc(32))).toEqual({ valid: false });
});

test('reads the source no faster than the daemon takes it', async () => {
  const release = rpc.token.hold();
  const source = new Source(endless());
  const caller = new AbortController();
  const signing = client.key('shop').signStream(source, { signal: caller.signal });
  const outcome = expect(signing).rejects.toThrow('enough');

  let yielded = -1;
  await vi.waitFor(
    async () => {
      const before = yielded;
      yielded = source.yielded;
      expect(yielded).toBe(before);
    },
    { timeout: 20_000, interval: 300 },
  );
  caller.abort(new Error('enough'));
  release();

  await outcome;
  expect(yielded).toBeLessThan(200);
  await eventually(() => expect(source.isClosed).toBe(true));
  await eventually(() => expect(rpc.token.openStreams).toBe(0));
});

describe('a stream that fails', () => {
  test('ends the reading of its source', async () => {
    const source = new Source(endless());

    await expect(client.key('other').signStream(source)).rejects.toMatchObject({
      reason: 'KEY_NOT_FOUND',
    });

    await eventually(() => expect(source.isClosed).toBe(true));
  });

  test('is not repeated', async () => {
    rpc.token.isAvailable = false;
    const source = new Source([Buffer.from('data')]);

    await expect(client.key('shop').signStream(source)).rejects.toMatchObject({
      reason: 'TOKEN_UNAVAILABLE',
    });

    expect(rpc.requests).toHaveLength(1);
  });

  test('with its source rejects with what the source throws', async () => {
    const broken = async function* () {
      yield Buffer.from('data');
      throw new Error('the disk is gone');
    };

    await expect(client.key('shop').signStream(broken())).rejects.toThrow('the disk is gone');

    await eventually(() => expect(rpc.token.openStreams).toBe(0));
  });

  test('at its deadline says so', async () => {
    const release = rpc.token.hold();
    const source = new Source([Buffer.from('data')]);

    const signing = client.key('shop').signStream(source, { deadlineMs: 200 });

    await expect(signing).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    release();
  });

  test('for want of a daemon says so within the time of the client', async () => {
    const nobody = open({ address: `unix:${rpc.folder}/nobody.sock`, deadlineMs: 300 });

    await expect(nobody.key('shop').signStream(new Source([]))).rejects.toMatchObject({
      reason: 'DEADLINE_EXCEEDED',
    });
  });

  test.each([
    ['texts', ['text'], TypeError],
    ['something else', [42], TypeError],
  ])('yields %s', async (_, pieces, kind) => {
    const source = new Source(pieces as unknown as Uint8Array[]);

    await expect(client.key('shop').signStream(source)).rejects.toThrow(kind);
  });

  test('was called in a way that cannot work', async () => {
    const key = client.key('shop');
    const source = () => new Source([]);

    await expect(key.signStream(source(), { version: 0 })).rejects.toThrow(RangeError);
    await expect(key.signStream(source(), { deadlineMs: 0 })).rejects.toThrow(RangeError);
    await expect(key.verifyStream(source(), 'mac' as unknown as Uint8Array)).rejects.toThrow(
      TypeError,
    );
    await expect(
      key.signStream(source(), { signal: AbortSignal.abort(new Error('no')) }),
    ).rejects.toThrow('no');
  });
});

test('close waits for a stream', async () => {
  const release = rpc.token.hold();
  const signing = client.key('shop').signStream(new Source([Buffer.from('data')]));
  await eventually(() => expect(rpc.token.waiting).toBe(1));

  const closed = client.close();
  release();

  await expect(signing).resolves.toMatchObject({ version: 1 });
  await closed;
});
