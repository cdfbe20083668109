import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const FOLDER = join(__dirname, 'localhost-certificate');

export interface TestCertificate {
  /** PEM; clients trust it as its own authority. */
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** Of the certificate, and of its key. */
  readonly file: string;
  readonly keyFile: string;
}

/**
 * For `localhost` and 127.0.0.1, valid for a hundred years. Kept rather than made, so that tests need no
 * program beside Node; nothing but tests trusts it.
 */
export async function testCertificate(): Promise<TestCertificate> {
  const [file, keyFile] = [join(FOLDER, 'certificate.pem'), join(FOLDER, 'key.pem')];
  return { certificate: await readFile(file), key: await readFile(keyFile), file, keyFile };
}
