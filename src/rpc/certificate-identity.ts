import type { X509Certificate } from 'node:crypto';

/** What the log and the configuration can show, and long enough for a SPIFFE id. */
const CLIENT_NAME = /^[ -~]{1,255}$/;

/**
 * The client that a certificate names: its first URI in the subject's alternative names, else its
 * first DNS name there, else the common name.
 *
 * @returns undefined when the certificate names none, or one that is not 1 to 255 printable ASCII
 *   characters
 */
export function clientOf(certificate: X509Certificate): string | undefined {
  const names = certificate.subjectAltName?.split(', ') ?? [];
  const name = first(names, 'URI:') ?? first(names, 'DNS:') ?? commonName(certificate);
  return name !== undefined && CLIENT_NAME.test(name) ? name : undefined;
}

// Node writes a name that holds a comma, a quote or anything else that could be taken for the
// list's own punctuation as a JSON string, with the comma escaped too: no name can look like two.
function first(names: readonly string[], type: string): string | undefined {
  const name = names.find((candidate) => candidate.startsWith(type))?.slice(type.length);
  return name?.startsWith('"') ? String(JSON.parse(name)) : name;
}

function commonName(certificate: X509Certificate): string | undefined {
  const { CN } = certificate.toLegacyObject().subject;
  return typeof CN === 'string' ? CN : undefined;
}
