import { Injectable } from '@nestjs/common';
import { hash, verify } from '@node-rs/argon2';
import { Metrics } from '../observability/metrics';

/**
 * Hashes under way at once. Each takes 19 MiB and one of the four threads of libuv's pool, which file reads and
 * name look-ups share: half of the pool stays theirs.
 */
export const PASSWORD_HASHES_MAX = 2;
/** Beyond this many waiting ones a login flood is refused at once instead of being served minutes later. */
export const PASSWORD_HASHES_WAITING_MAX = 256;

export type Hashed<T> = { readonly kind: 'done'; readonly value: T } | { readonly kind: 'busy' };

/** Argon2id (RFC 9106) with OWASP's minimum: 19 MiB, 2 passes, 1 lane; the library's defaults. */
@Injectable()
export class PasswordHasher {
  private underWay = 0;
  private readonly waiting: (() => void)[] = [];
  private nobodysHash: Promise<string> | undefined;

  constructor(private readonly metrics: Metrics) {}

  hash(password: string): Promise<Hashed<string>> {
    return this.inTurn(() => hash(password));
  }

  /**
   * @param encoded undefined: nobody has this password, which takes as long to say as that a password is
   * wrong, so that time does not tell which user names exist
   */
  verify(encoded: string | undefined, password: string): Promise<Hashed<boolean>> {
    return this.inTurn(async () => {
      if (encoded !== undefined) return verify(encoded, password);
      this.nobodysHash ??= hash('nobody has this password');
      await verify(await this.nobodysHash, password);
      return false;
    });
  }

  private async inTurn<T>(work: () => Promise<T>): Promise<Hashed<T>> {
    if (this.underWay >= PASSWORD_HASHES_MAX) {
      if (this.waiting.length >= PASSWORD_HASHES_WAITING_MAX) return { kind: 'busy' };
      // Whoever finishes hands its place over, so that the count of those under way never overshoots.
      await new Promise<void>((resolve) => {
        this.waiting.push(resolve);
        this.metrics.passwordHashesWaiting.set(this.waiting.length);
      });
    } else {
      this.underWay++;
    }
    try {
      return { kind: 'done', value: await work() };
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.underWay--;
      else next();
      this.metrics.passwordHashesWaiting.set(this.waiting.length);
    }
  }
}
