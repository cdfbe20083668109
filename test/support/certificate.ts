import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface TestCertificate {
  /** PEM; clients trust it as its own authority. */
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** Of the certificate. */
  readonly file: string;
}

/** A certificate of its own for `localhost`, made in `folder` for a day. */
export async function makeCertificate(folder: string): Promise<TestCertificate> {
  const [file, keyFile] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')];
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
    ...['-keyout', keyFile, '-out', file],
  ]);
  return { certificate: await readFile(file), key: await readFile(keyFile), file };
}
