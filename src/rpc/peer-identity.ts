import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { type PeerCredentials, processFunctions } from '../native/linux-process.ts';
import { accountId } from './accounts.ts';
import { ListenerError } from './listener-error.ts';

/** Which client the processes of a user, or of a group's members, are. */
export interface PeerRule {
  readonly by: 'uid' | 'gid';
  /** A name or a number. */
  readonly id: string | number;
  readonly client: string;
}

/** Who has connected to a unix socket; `description` and `refusal` are for the log. */
export type IdentifiedPeer =
  | { readonly client: string; readonly description: string }
  | { readonly client: undefined; readonly description?: string; readonly refusal: string };

/** Never throws. */
export type IdentifyPeer = (socket: Socket) => IdentifiedPeer;

/** user_namespaces(7): every id stands for itself. */
const OWN_IDS = /^\s*0\s+0\s+4294967295\s*$/;

/**
 * Makes what knows the clients of a unix socket by the users and groups of their processes, as the
 * kernel noted them when they connected. The first rule that is about a peer counts.
 *
 * @throws {ListenerError} for an account that is not there, and where peers cannot be known
 */
export async function peerIdentifier(rules: readonly PeerRule[]): Promise<IdentifyPeer> {
  const functions = processFunctions;
  if (!functions) {
    throw new ListenerError(
      'configuration',
      'listeners[].peers needs the native part of sigild, which is not built: run sh ' +
        "native/build.sh in its folder, with a C compiler and Node's headers, or use client",
    );
  }
  assertOwnIds();
  const known = await Promise.all(rules.map(resolved));
  const clientOf = (peer: PeerCredentials) => known.find((rule) => rule.isAbout(peer))?.client;
  return (socket) => {
    try {
      return identified(functions.peerOf(descriptorOf(socket)), clientOf);
    } catch {
      return { client: undefined, refusal: 'its peer cannot be found out' };
    }
  };
}

function identified(
  peer: PeerCredentials,
  clientOf: (peer: PeerCredentials) => string | undefined,
): IdentifiedPeer {
  const client = clientOf(peer);
  const description = `uid ${peer.uid}, gid ${peer.gid}, pid ${peer.pid}`;
  if (client !== undefined) return { client, description };
  return { client, description, refusal: 'no client is this user or group' };
}

async function resolved({ by, id: account, client }: PeerRule) {
  const id = await accountId(by === 'uid' ? 'passwd' : 'group', account);
  const isAbout = ({ uid, gid, groups }: PeerCredentials) =>
    by === 'uid' ? uid === id : gid === id || groups.includes(id);
  return { client, isAbout };
}

/**
 * In a user namespace, such as PrivateUsers= of systemd makes, several users look alike.
 *
 * @throws {ListenerError}
 */
function assertOwnIds(): void {
  for (const file of ['/proc/self/uid_map', '/proc/self/gid_map']) {
    if (OWN_IDS.test(readFileSync(file, 'utf8'))) continue;
    throw new ListenerError(
      'configuration',
      `listeners[].peers cannot tell users apart here: this is a user namespace (${file}); ` +
        'take PrivateUsers= out of the unit, or use client',
    );
  }
}

/** Node has no public way to it. @returns a negative number when the connection has closed */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } };
  return handle?.fd ?? -1;
}
