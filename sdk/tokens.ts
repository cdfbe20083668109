/** Gives an access token; with `renew` a new one, because the last was refused. May reject: it is asked again. */
export type TokenProvider = (options: { readonly renew: boolean }) => Promise<string>;

/** Token or provider as one function; a bare token cannot be renewed, and says so by undefined. */
export function tokenSource(options: {
  readonly token?: string;
  readonly tokenProvider?: TokenProvider;
}): (renew: boolean) => Promise<string | undefined> {
  const { token, tokenProvider } = options;
  if (tokenProvider !== undefined) return (renew) => tokenProvider({ renew });
  if (token === undefined) throw new TypeError('a client needs a token or a tokenProvider');
  return (renew) => Promise.resolve(renew ? undefined : token);
}

/** An id for a device that keeps none: another device each run. */
export function newDeviceId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `device-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
