import { describeError } from './describe-error';

const SECRET = 'hunter2-what-somebody-wrote';

/** As `pg` raises them: the fields of the server's message, as own properties. */
function sqlError(code: string, message: string): Error {
  const fields = { severity: 'ERROR', code, detail: `Failing row contains (${SECRET})`, where: SECRET };
  return Object.assign(new Error(message), fields, { table: 'users', constraint: 'users_key' });
}

describe('describeError', () => {
  it.each(['22P02', '22021', '23505', '23514'])(
    'says what SQLSTATE %s broke, and not by which value',
    (code) => {
      const text = JSON.stringify(describeError(sqlError(code, `invalid input: "${SECRET}"`)));
      expect(text).not.toContain(SECRET);
      expect(text).toContain(code);
      expect(text).toContain('users.users_key');
      expect(text).toContain('describe-error.spec');
    },
  );

  it('keeps the message of errors that quote names of ours, without details', () => {
    const described = describeError(sqlError('42P01', 'relation "read.x" does not exist'));
    expect(described.message).toBe('relation "read.x" does not exist');
    expect(JSON.stringify(described)).not.toContain(SECRET);
  });

  it('does not repeat the text that was no JSON', () => {
    let caught: unknown;
    try {
      JSON.parse(`{"body": ${SECRET}`);
    } catch (error) {
      caught = error;
    }
    expect(JSON.stringify(describeError(caught))).not.toContain('hunter2');
  });

  it('follows causes, to an end', () => {
    const loop = new Error('outer', { cause: sqlError('23505', SECRET) });
    expect(describeError(loop)).toMatchObject({ message: 'outer', cause: { code: '23505' } });
    expect(JSON.stringify(describeError(loop))).not.toContain(SECRET);
    (loop as { cause?: unknown }).cause = loop;
    expect(JSON.stringify(describeError(loop)).length).toBeLessThan(20_000);
  });

  it('tells nothing of what is thrown and no error', () => {
    expect(JSON.stringify(describeError({ body: SECRET }))).not.toContain(SECRET);
    expect(JSON.stringify(describeError(SECRET))).not.toContain(SECRET);
  });
});
