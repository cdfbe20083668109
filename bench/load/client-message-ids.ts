const COUNTER_MAX = 2 ** 32;
let prefix = '';
let prefixAt = -1;
let counter = Math.floor(Math.random() * COUNTER_MAX);

/** Of this run of the generator; keeps two generators against one server apart. */
const RUN = Math.floor(Math.random() * 2 ** 16)
  .toString(16)
  .padStart(4, '0');

/** A UUIDv7, as devices make them, without asking for fresh random bytes each time. */
export function nextClientMessageId(): string {
  const now = Date.now();
  if (now !== prefixAt) {
    const hex = now.toString(16).padStart(12, '0');
    prefix = `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-`;
    prefixAt = now;
  }
  counter = (counter + 1) % COUNTER_MAX;
  return `${prefix}${RUN}${counter.toString(16).padStart(8, '0')}`;
}
