import type { Client, ServiceError } from '@grpc/grpc-js';
import { v1 } from '../rpc/proto.ts';
import { signedItem, verifiedItem } from './answers.ts';
import type { OpenCalls } from './open-calls.ts';
import { contentOf, type DataSource, sendStream } from './send-stream.ts';
import { failureOfCall, type SigildError } from './sigild-error.ts';
import type { Signature, Verification } from './signing-results.ts';
import type { UnaryMethod } from './unary-calls.ts';

/** What a call for a message in pieces has been told. */
export interface StreamTarget {
  readonly key: string;
  readonly version: number | undefined;
  readonly deadlineMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

interface SigningStreamsOptions {
  readonly open: OpenCalls;
  /** How long to wait for the daemon to be there. */
  readonly connectMs: number;
  /** Makes the error for a call whose time is over. */
  readonly overdue: (limits: { readonly deadlineMs: number }) => SigildError;
}

const { SignStream, VerifyStream } = v1.SigningService.service;

const NOTHING = new Uint8Array();

/** Signs and verifies messages that come in pieces, which are read no faster than they are sent. */
export class SigningStreams {
  readonly #client: Client;
  readonly #options: SigningStreamsOptions;

  constructor(client: Client, options: SigningStreamsOptions) {
    this.#client = client;
    this.#options = options;
  }

  async sign(target: StreamTarget, source: DataSource): Promise<Signature> {
    const header = headerOf(target);
    const answer = await this.#call(SignStream, contentOf(header, source), target);
    return signedItem(answer, answer.signature ?? NOTHING);
  }

  async verify(
    target: StreamTarget,
    source: DataSource,
    signature: Uint8Array,
  ): Promise<Verification> {
    const header = { ...headerOf(target), signature };
    const answer = await this.#call(VerifyStream, contentOf(header, source), target);
    return verifiedItem(answer.valid === true ? (answer.version ?? 0) : 0);
  }

  async #call<Message, Response>(
    method: UnaryMethod<Message, Response>,
    contents: AsyncIterable<Message>,
    target: StreamTarget,
  ): Promise<Response> {
    const { open } = this.#options;
    open.enter();
    try {
      await this.#connected(target.signal);
      const failureOf = (error: ServiceError) => failureOfCall(error).error;
      return await sendStream(this.#client, method, contents, { ...target, failureOf });
    } catch (error) {
      target.signal?.throwIfAborted();
      throw error;
    } finally {
      open.leave();
    }
  }

  /** A stream has no second try, so it begins when the daemon is there. */
  #connected(signal: AbortSignal | undefined): Promise<void> {
    const { connectMs, overdue } = this.#options;
    return new Promise((resolve, reject) => {
      const leave = () => reject(signal?.reason);
      signal?.addEventListener('abort', leave, { once: true });
      this.#client.waitForReady(Date.now() + connectMs, (error) => {
        signal?.removeEventListener('abort', leave);
        if (error) reject(overdue({ deadlineMs: connectMs }));
        else resolve();
      });
    });
  }
}

function headerOf({ key, version }: StreamTarget) {
  return { key, ...(version !== undefined && { version }) };
}
