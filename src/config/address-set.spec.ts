import { ADDRESSES_MAX, NOBODY, parseAddressSet } from './address-set';

describe('a set of addresses', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7', '192.0.2.8', false],
    ['192.0.2.0/24', '192.0.2.255', true],
    ['192.0.2.0/24', '192.0.3.0', false],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['2001:db8::/32', '2001:db8:1::1', true],
    ['2001:db8::/32', '2001:db9::1', false],
    ['loopback', '127.9.9.9', true],
    ['loopback', '::1', true],
    ['private', '172.31.0.1', true],
    ['private', '172.32.0.1', false],
    ['private', 'fd00::1', true],
    ['203.0.113.1, loopback', '127.0.0.1', true],
    // As Node tells the address of an IPv4 peer on a socket that listens to both.
    ['192.0.2.0/24', '::ffff:192.0.2.9', true],
    ['loopback', '::ffff:192.0.2.9', false],
    ['0.0.0.0/0', 'not an address', false],
    ['0.0.0.0/0', '', false],
  ])('%s has %s: %s', (text, address, is) => {
    expect(parseAddressSet(text).has(address)).toBe(is);
  });

  it.each(['', 'example.org', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0', '::/129', '1.2.3.4,'])(
    'refuses %j',
    (text) => {
      expect(() => parseAddressSet(text)).toThrow('must be addresses, networks');
    },
  );

  it('has a limit', () => {
    const addresses = Array.from({ length: ADDRESSES_MAX }, () => '192.0.2.1');
    expect(parseAddressSet(addresses.join(',')).has('192.0.2.1')).toBe(true);
    expect(() => parseAddressSet([...addresses, '192.0.2.1'].join(','))).toThrow('at most');
  });

  it('is empty when nobody is in it', () => {
    expect(NOBODY.has('127.0.0.1')).toBe(false);
  });
});
