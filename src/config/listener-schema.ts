import * as z from 'zod';
import type { ListenerAddress, ListenerConfig, ListenerIdentity, PeerConfig } from './config.ts';
import { absolutePath, clientName, demandOneOf, list, map, ON_ANY_MAP, text } from './fields.ts';
import { isLoopback, parseTcpAddress } from './tcp-address.ts';

const UNIX_PATH_MAX_BYTES = 107;
/** The number after it, -1, means no user and no group. */
const ID_MAX = 2 ** 32 - 2;

export const unixPath = absolutePath.refine(
  (path) => Buffer.byteLength(path) <= UNIX_PATH_MAX_BYTES,
  `must have at most ${UNIX_PATH_MAX_BYTES} bytes, which is what a socket's address can hold`,
);

const mode = text('three octal digits in quotes, for instance "0660"', (value) =>
  /^0?[0-7]{3}$/.test(value),
);

function account(what: 'group' | 'user') {
  const problem = `must be a ${what}'s name or number`;
  return z
    .union([z.number(), z.string()], problem)
    .refine(
      (value) =>
        typeof value === 'number'
          ? Number.isInteger(value) && value >= 0 && value <= ID_MAX
          : /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(value),
      problem,
    );
}

const peer = map({
  uid: account('user').optional(),
  gid: account('group').optional(),
  client: clientName,
}).superRefine((rule, context) => demandOneOf(['uid', 'gid'], rule, context), ON_ANY_MAP);

const tcpAddress = text(
  'an IP address and a port, for instance 127.0.0.1:7400 or [::1]:7400',
  (value) => parseTcpAddress(value) !== undefined,
);

const systemdName = text(
  "a socket unit's FileDescriptorName: up to 255 printable ASCII characters without colons",
  (value) => /^[\x20-\x7e]{1,255}$/.test(value) && !value.includes(':'),
);

const document = map({
  unix: unixPath.optional(),
  mode: mode.optional(),
  group: account('group').optional(),
  tcp: tcpAddress.optional(),
  systemd: systemdName.optional(),
  client: clientName.optional(),
  peers: list(peer, 'user or group').optional(),
  plaintext: z.literal(true, 'must be true or left out').optional(),
  tls: map({
    certificate: absolutePath,
    key: absolutePath,
    clientCa: absolutePath,
    clientCrl: absolutePath.optional(),
  }).optional(),
});

type ListenerDocument = z.output<typeof document>;

interface Rule {
  /** The key to point at. */
  readonly key: keyof ListenerDocument;
  readonly isBroken: (listener: ListenerDocument) => boolean;
  readonly problem: string;
}

const RULES: readonly Rule[] = [
  {
    key: 'mode',
    isBroken: (listener) => 'mode' in listener && !('unix' in listener),
    problem: 'only a listener with unix has a mode',
  },
  {
    key: 'group',
    isBroken: (listener) => 'group' in listener && !('unix' in listener),
    problem: 'only a listener with unix has a group',
  },
  {
    key: 'tls',
    isBroken: (listener) => 'tls' in listener && 'unix' in listener,
    problem: 'a listener with unix has no TLS; who connects is its client',
  },
  {
    key: 'peers',
    isBroken: (listener) => 'peers' in listener && 'tcp' in listener,
    problem: 'are for unix sockets alone; TCP tells nothing of users',
  },
  {
    key: 'plaintext',
    isBroken: (listener) => 'plaintext' in listener && ('unix' in listener || 'tls' in listener),
    problem: 'is for TCP without tls alone',
  },
  {
    key: 'client',
    isBroken: (listener) => 'tcp' in listener && 'client' in listener && !('plaintext' in listener),
    problem: 'on TCP needs plaintext: true, which is for loopback addresses; elsewhere use tls',
  },
  {
    key: 'tcp',
    isBroken: ({ tcp, plaintext }) => plaintext === true && isTcpBeyondLoopback(tcp),
    problem: 'plaintext is for loopback addresses, 127.0.0.0/8 and ::1; elsewhere use tls',
  },
];

export const listenerSchema = document.superRefine((listener, context) => {
  demandOneOf(['unix', 'tcp', 'systemd'], listener, context);
  demandOneOf(['client', 'peers', 'tls'], listener, context);
  for (const { key, isBroken, problem } of RULES) {
    if (isBroken(listener)) {
      context.addIssue({ code: 'custom', path: [key], message: problem });
    }
  }
}, ON_ANY_MAP);

export function toListenerConfig(listener: ListenerDocument): ListenerConfig {
  return { address: addressOf(listener), identity: identityOf(listener) };
}

function addressOf({ unix, mode, group, tcp, systemd }: ListenerDocument): ListenerAddress {
  if (unix !== undefined) {
    return { kind: 'unix', path: unix, mode: Number.parseInt(mode ?? '0660', 8), group };
  }
  if (systemd !== undefined) return { kind: 'systemd', name: systemd };
  const address = parseTcpAddress(tcp ?? '');
  if (address === undefined) throw new Error('the schema lets no such address through');
  return { kind: 'tcp', ...address };
}

function identityOf({ client, peers, plaintext, tls }: ListenerDocument): ListenerIdentity {
  if (tls !== undefined) return { kind: 'certificate', tls };
  if (peers !== undefined) return { kind: 'peers', peers: peers.map(toPeerConfig) };
  if (client === undefined) throw new Error('the schema lets no such listener through');
  return { kind: 'client', client, plaintext: plaintext === true };
}

function toPeerConfig({ uid, gid, client }: z.output<typeof peer>): PeerConfig {
  return uid === undefined ? { by: 'gid', id: gid ?? '', client } : { by: 'uid', id: uid, client };
}

function isTcpBeyondLoopback(tcp: unknown): boolean {
  const address = typeof tcp === 'string' ? parseTcpAddress(tcp) : undefined;
  return address !== undefined && !isLoopback(address);
}
