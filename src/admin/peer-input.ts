import { usageFailure } from './command-failure.ts';
import { decodeBase64, readFileBytes } from './data-input.ts';

/** How a command names the peer with whom a key is agreed upon. */
export interface PeerOptions {
  readonly peerPublicKeyFile?: string;
  readonly peerKey?: string;
}

/** The same as the daemon takes it. */
export interface Peer {
  /** SubjectPublicKeyInfo in DER. */
  readonly peerPublicKey?: Buffer;
  readonly peerKey?: string;
}

/** With room: the longest of a curve has some hundred bytes. */
const MAX_PUBLIC_KEY_BYTES = 65_536;

const PEM = /-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----/;

/** Reads the peer's public key, in PEM or DER, where there is one. @throws {CommandFailure} USAGE */
export async function readPeer({ peerPublicKeyFile: file, peerKey }: PeerOptions): Promise<Peer> {
  if (file === undefined) return peerKey === undefined ? {} : { peerKey };
  const bytes = await readFileBytes(file, MAX_PUBLIC_KEY_BYTES);
  return { peerPublicKey: derOf(bytes, file) };
}

/** The daemon says what is wrong with DER. */
function derOf(bytes: Buffer, file: string): Buffer {
  const text = bytes.toString('latin1');
  if (!text.includes('-----BEGIN')) return bytes;
  const der = decodeBase64(PEM.exec(text)?.[1]?.replace(/\s/g, '') ?? '-');
  if (der) return der;
  throw usageFailure(
    `${file} is no public key in PEM`,
    'it has to be of the kind "PUBLIC KEY", as sigilctl key export-public and openssl pkey -pubout write it',
  );
}
