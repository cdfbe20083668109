import { Metrics } from '../observability/metrics';
import { PASSWORD_HASHES_MAX, PASSWORD_HASHES_WAITING_MAX, PasswordHasher } from './password-hasher';

const done = <T>(value: T) => ({ kind: 'done', value });

describe('PasswordHasher', () => {
  const hasher = new PasswordHasher(new Metrics());

  it('makes salted argon2id hashes that only their password fits', async () => {
    const [one, other] = await Promise.all([hasher.hash('open sesame'), hasher.hash('open sesame')]);
    if (one.kind === 'busy' || other.kind === 'busy') throw new Error('busy');
    expect(one.value).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(other.value).not.toBe(one.value);
    expect(await hasher.verify(one.value, 'open sesame')).toEqual(done(true));
    expect(await hasher.verify(one.value, 'Open sesame')).toEqual(done(false));
    expect(await hasher.verify(undefined, 'open sesame')).toEqual(done(false));
  });

  it('takes about as long to say that nobody has the password as that it is wrong', async () => {
    const hashed = await hasher.hash('open sesame');
    if (hashed.kind === 'busy') throw new Error('busy');
    const time = async (encoded: string | undefined): Promise<number> => {
      const start = performance.now();
      for (let round = 0; round < 5; round++) await hasher.verify(encoded, 'wrong');
      return performance.now() - start;
    };
    await time(undefined);
    const [known, unknown] = [await time(hashed.value), await time(undefined)];
    expect(unknown).toBeGreaterThan(known / 4);
  });

  it('serves a full queue and refuses one more at once', async () => {
    const places = PASSWORD_HASHES_MAX + PASSWORD_HASHES_WAITING_MAX;
    // A malformed hash is refused by the library at once: the queue is what is measured here.
    const asked = Array.from({ length: places }, () => hasher.verify('broken', 'x').catch(() => 'served'));
    expect(await hasher.hash('one more')).toEqual({ kind: 'busy' });
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['served']));
    expect((await hasher.hash('later')).kind).toBe('done');
  });
});
