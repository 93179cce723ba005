import { BlockList, isIPv4, isIPv6 } from 'node:net';

export interface TcpAddress {
  /** An IP address, without brackets. */
  readonly host: string;
  /** 0 to 65535. */
  readonly port: number;
}

const ADDRESS = /^(?:\[(?<v6>[^[\]]+)\]|(?<v4>[^:]+)):(?<port>[0-9]{1,5})$/;
const HIGHEST_PORT = 65_535;

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** @returns undefined for anything but `IPv4:PORT` and `[IPv6]:PORT` */
export function parseTcpAddress(text: string): TcpAddress | undefined {
  const { v4, v6, port } = ADDRESS.exec(text)?.groups ?? {};
  if (Number(port) > HIGHEST_PORT) return undefined;
  if (v4 !== undefined && isIPv4(v4)) return { host: v4, port: Number(port) };
  if (v6 !== undefined && isIPv6(v6)) return { host: v6, port: Number(port) };
  return undefined;
}

export function isLoopback({ host }: TcpAddress): boolean {
  return LOOPBACK.check(host, isIPv4(host) ? 'ipv4' : 'ipv6');
}
