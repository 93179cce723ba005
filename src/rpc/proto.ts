import { fileURLToPath } from 'node:url';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType as Sigild } from '../generated/signing.ts';
import type { ProtoGrpcType as GoogleRpc } from '../generated/status.ts';

/** The same two levels below the package's root in src/ and in dist/. */
const PROTO_FOLDER = fileURLToPath(new URL('../../proto', import.meta.url));

// The generated types are right for these options alone: see the script `generate`. With keepCase,
// the snake_case fields of a response would vanish without an error.
const definition = loadSync(['sigild/v1/signing.proto', 'google/rpc/status.proto'], {
  includeDirs: [PROTO_FOLDER],
  keepCase: false,
  longs: Number,
  enums: String,
  arrays: true,
  defaults: false,
  oneofs: false,
});

const { sigild, google } = loadPackageDefinition(definition) as unknown as Sigild & GoogleRpc;

/**
 * The package sigild.v1: each service is a client's constructor with its definition in `service`,
 * each message has `serialize` and `deserialize`.
 */
export const v1 = sigild.v1;

/** The package google.rpc: the messages that error details are made of. */
export const googleRpc = google.rpc;
