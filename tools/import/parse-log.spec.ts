import { BODY_BYTES_MAX, parseLog, UnreadableLog, type LogLine } from './parse-log';

const parse = (...lines: (string | Uint8Array)[]) =>
  parseLog(
    '2004-12-25.raw.txt',
    Buffer.concat(lines.flatMap((line) => [Buffer.from(line as string), Buffer.from('\n')])),
  );
const one = (line: string): LogLine => parse(line).lines[0] as LogLine;
const timesOf = (...times: string[]): string[] =>
  parse(...times.map((time) => `[${time}] <a> x`)).lines.map((line) =>
    line.kind === 'message' ? new Date(line.at).toISOString().slice(0, 16) : line.kind,
  );

describe('lines of an IRC log', () => {
  it.each([
    ['[07:10] <bob> hi  there ', 'bob', 'hi  there '],
    ['[13:08] <bob>', 'bob', ''],
    ['[13:08] <pirate> ', 'pirate', ''],
    ['[13:08] <bob[1] > trailing blank in the nick', 'bob[1]', 'trailing blank in the nick'],
    ['[13:08] <[cc] smart> blank in the nick', '[cc] smart', 'blank in the nick'],
    ['[13:08] <bob> <alice> quoted > text', 'bob', '<alice> quoted > text'],
    ['[13:56]  * genii sips a coffee', 'genii', '* genii sips a coffee'],
    ['[13:08] <bob> === eve has joined #ubuntu', 'bob', '=== eve has joined #ubuntu'],
    ['[13:08] <bob> \u0085 \u2028 kept', 'bob', '\u0085 \u2028 kept'],
  ])('reads %j as a message', (line, nick, body) => {
    expect(one(line)).toMatchObject({ kind: 'message', nick, body });
  });

  it.each([
    ['=== bob [n=bob@host.example]  has joined #ubuntu', { kind: 'joined', nick: 'bob' }],
    ['=== bob has joined #ubuntu', { kind: 'joined', nick: 'bob' }],
    ['=== subhankar [~bunty@202.177.162.242]  has left #ubuntu []', { kind: 'left', nick: 'subhankar' }],
    ['=== bob [n=bob@h]  has left #ubuntu ["bye [all] of you"]', { kind: 'left', nick: 'bob' }],
    ['=== [cc] smart [smar@gw.example]  has joined #ubuntu', { kind: 'joined', nick: '[cc] smart' }],
    ['=== N}{N[] O [n=x@2001:db8::1]  has joined #Ubuntu', { kind: 'joined', nick: 'N}{N[] O' }],
    ['=== |bob| is now known as bob', { kind: 'renamed', from: '|bob|', to: 'bob' }],
    ['=== djpirate was kicked off #ubuntu by apokryphos (annoying)', { kind: 'kicked', nick: 'djpirate' }],
  ])('reads %j as membership', (line, expected) => {
    expect(one(line)).toMatchObject(expected);
  });

  it.each([
    '=== mode/#ubuntu [+o Amaranth]  by ChanServ',
    '=== netjoined: irc.freenode.net -> kornbluth.freenode.net',
    '=== knghtbrd growls',
    '=== MM2 wonders how to add all 1500 users to plugdev group with winbind...',
    '=== cyphase is listening to everyone talk',
    '=== Madpilot has given away three CDs so far...',
    '=== bob has left the building',
  ])('skips %j', (line) => {
    expect(one(line).kind).toBe('skipped');
  });

  it.each([
    '',
    'no time',
    '[25:00] <bob> late',
    '[12:60] <bob> later',
    '[12:00] <> nobody',
    '[12:00] bob: hi',
  ])('tells that %j is bad', (line) => {
    expect(one(line).kind).toBe('bad');
  });

  it('takes a body of the limit and not one byte more', () => {
    expect(one(`[12:00] <bob> ${'é'.repeat(BODY_BYTES_MAX / 2)}`).kind).toBe('message');
    expect(one(`[12:00] <bob> ${'é'.repeat(BODY_BYTES_MAX / 2)}x`).kind).toBe('bad');
  });

  it('reads what is no UTF-8 as Windows-1252, and notes it', () => {
    const log = parse('[12:00] <bob> ok', Buffer.from('5b31323a30305d203c623e20636166e9', 'hex'));
    expect(log.lines[1]).toMatchObject({ kind: 'message', body: 'café' });
    expect(log.notes).toEqual([{ line: 1, what: 'no UTF-8, read as Windows-1252' }]);
  });

  it('replaces what Postgres cannot store', () => {
    expect(one('[12:00] <bob> a\0b')).toMatchObject({ body: 'a\uFFFDb' });
  });

  it('counts lines from 0, also the last one without an end', () => {
    const log = parseLog('2004-12-25.raw.txt', Buffer.from('[12:00] <a> x\r\n\n[12:01] <b> y'));
    expect(log.lines.map(({ line, kind }) => [line, kind])).toEqual([
      [0, 'message'],
      [1, 'bad'],
      [2, 'message'],
    ]);
    expect(log.lines[0]).toMatchObject({ body: 'x' });
  });

  it('finds the channel', () => {
    expect(parse('[12:00] <a> has joined #c', '=== a [h] has joined #Ubuntu').channel).toBe('#ubuntu');
  });

  it('does not guess the day', () => {
    expect(() => parseLog('chat.log', Buffer.from(''))).toThrow(UnreadableLog);
  });
});

describe('times', () => {
  it('goes on after midnight', () => {
    expect(timesOf('23:59', '00:00', '00:01')).toEqual([
      '2004-12-25T23:59',
      '2004-12-26T00:00',
      '2004-12-26T00:01',
    ]);
  });

  it('goes on after noon on a clock of twelve hours', () => {
    expect(timesOf('11:55', '00:05', '11:59', '12:57', '01:03')).toEqual([
      '2004-12-25T11:55',
      '2004-12-25T12:05',
      '2004-12-25T23:59',
      '2004-12-26T00:57',
      '2004-12-26T01:03',
    ]);
  });

  it('stands still while a clock that was set back catches up', () => {
    expect(timesOf('02:00', '01:30', '02:01')).toEqual([
      '2004-12-25T02:00',
      '2004-12-25T02:00',
      '2004-12-25T02:01',
    ]);
  });
});
