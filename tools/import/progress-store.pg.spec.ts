import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import { asConversationId, asSeq } from '../../src/kernel/ids';
import { PostgresImportProgress } from './progress-store';

const ID = asConversationId('11111111-1111-5111-8111-111111111111');
const STEP = '22222222-2222-5222-8222-222222222222';

describe('PostgresImportProgress', () => {
  let test: TestDatabase;
  beforeAll(async () => {
    test = await createTestDatabase();
  });
  afterAll(() => test.drop());

  it('remembers the last time a file was finished, each in its conversation', async () => {
    const progress = new PostgresImportProgress(test.database);
    const note = { conversationId: ID, file: 'a', digest: 'd', lastStep: STEP, lastSeq: asSeq(7) };
    await progress.finished(note);
    await progress.finished({ ...note, lastSeq: asSeq(9) });
    await progress.finished({ ...note, conversationId: asConversationId(STEP) });
    expect(await progress.all([ID])).toEqual([{ ...note, lastSeq: 9 }]);
  });
});
