declare module 'unix-dgram' {
  export interface UnixDatagramSocket {
    /** Calls back before it returns; the message goes out at once or not at all. */
    send(
      message: Buffer,
      offset: number,
      length: number,
      path: string,
      callback: (error?: Error) => void,
    ): void;
    bind(path: string): void;
    on(event: 'error', listener: (error: Error) => void): void;
    close(): void;
  }

  export function createSocket(
    type: 'unix_dgram',
    onMessage?: (message: Buffer) => void,
  ): UnixDatagramSocket;
}
