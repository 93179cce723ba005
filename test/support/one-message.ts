import type { Cancellation } from '../../src/domain/cancellation.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import type { Token } from '../../src/service/ports.ts';

/** The MAC of one message. */
export async function signOne(
  token: Pick<Token, 'sign'>,
  version: KeyVersion,
  data: Uint8Array,
  signal: Cancellation,
): Promise<Buffer> {
  const [mac] = await token.sign(version, [data], signal);
  return Buffer.from(mac ?? []);
}

/** The version whose MAC of one message it is. */
export async function verifyOne(
  token: Pick<Token, 'verify'>,
  versions: readonly KeyVersion[],
  data: Uint8Array,
  mac: Uint8Array,
  signal: Cancellation,
): Promise<KeyVersion | undefined> {
  const [version] = await token.verify(versions, [{ data, mac }], signal);
  return version;
}
