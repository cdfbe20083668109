import { BlockList, isIP } from 'node:net';

/** Addresses and networks in one list; more of them is a mistake. */
export const ADDRESSES_MAX = 256;

const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/** Addresses of peers that are believed something. */
export interface AddressSet {
  /** False for what is no address at all. */
  has(address: string): boolean;
}

export const NOBODY: AddressSet = { has: () => false };

/**
 * IPv4 and IPv6 addresses, networks as `10.0.0.0/8`, and the words `loopback` and `private`, with commas between.
 * @throws Error with the end of a sentence that begins with the variable's name
 */
export function parseAddressSet(text: string): AddressSet {
  const words = text.split(',').map((word) => word.trim());
  if (words.length > ADDRESSES_MAX) throw new Error(`must name at most ${ADDRESSES_MAX} addresses`);
  const list = new BlockList();
  for (const network of words.flatMap((word) => NAMED[word] ?? [word])) add(list, network);
  return {
    has: (address) => {
      const family = isIP(address);
      return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
    },
  };
}

function add(list: BlockList, network: string): void {
  const [address = '', prefix, ...more] = network.split('/');
  const family = isIP(address);
  const bits = family === 4 ? 32 : 128;
  const length = prefix === undefined ? bits : Number(prefix);
  const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && length <= bits);
  if (family === 0 || !isPrefix || more.length > 0) {
    throw new Error('must be addresses, networks as 10.0.0.0/8, loopback or private, with commas between');
  }
  list.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6');
}
