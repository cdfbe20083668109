import { decodeInboxCursor, encodeInboxCursor } from './inbox-cursor';
import { formatProgress, parseProgress } from './progress-channel';

const place = { activeAt: 1_700_000_000_000, conversationId: '0190a5c0-0000-7000-8000-000000000000' };

describe('inbox cursors', () => {
  it('come back as they went', () => {
    expect(decodeInboxCursor(encodeInboxCursor(place))).toEqual(place);
    expect(decodeInboxCursor(encodeInboxCursor({ ...place, activeAt: -1 }))).toEqual({
      ...place,
      activeAt: -1,
    });
  });

  const of = (text: string): string => Buffer.from(text).toString('base64url');
  it.each([
    '',
    ' ',
    '%00',
    `${encodeInboxCursor(place)}=`,
    ` ${encodeInboxCursor(place)}`,
    of(`${place.activeAt}`),
    of(`${place.activeAt}/x`),
    of(`1e9/${place.conversationId}`),
    of(`9007199254740993/${place.conversationId}`),
    of(`${place.activeAt}/${place.conversationId.toUpperCase()}`),
    of(`${place.activeAt}/${place.conversationId}' OR 1=1`),
    'A'.repeat(129),
  ])('refuses %p', (text) => {
    expect(decodeInboxCursor(text)).toBeUndefined();
  });
});

describe('progress notifications', () => {
  it('come back as they went, and nothing else is one', () => {
    const progress = { group: 'live', position: { commit: -1n, prepare: 2n ** 63n } };
    expect(parseProgress(formatProgress(progress))).toEqual(progress);
    for (const text of ['', '1/1', 'live 1/1', '1 live']) expect(parseProgress(text)).toBeUndefined();
  });
});
