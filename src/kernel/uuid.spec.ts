import { validate, version } from 'uuid';
import { birthOf, uuidv7 } from './uuid';

describe('uuidv7', () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('makes UUIDs of version 7 that carry the time of their making', () => {
    const before = Date.now();
    const id = uuidv7();
    expect([validate(id), version(id)]).toEqual([true, 7]);
    expect(birthOf(id)).toBeGreaterThanOrEqual(before);
    expect(birthOf(id)).toBeLessThanOrEqual(Date.now() + 1);
  });

  it('makes each one once, in rising order, however many a millisecond and whatever the clock does', () => {
    const start = Date.now() + 60_000;
    let calls = 0;
    // Ten thousand in one millisecond, then a clock that is set back a minute.
    jest.spyOn(Date, 'now').mockImplementation(() => (calls++ < 10_000 ? start : start - 60_000));
    const ids = Array.from({ length: 20_000 }, uuidv7);
    expect(new Set(ids).size).toBe(ids.length);
    expect([...ids].sort()).toEqual(ids);
    expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
  });
});
