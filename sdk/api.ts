import type { Problem } from '../src/protocol/errors';
import type { EventFrame } from '../src/protocol/events';
import type { ContentInputDto, ConversationDto, MessageDto, UserDto } from '../src/protocol/schemas';
import { ParleyError } from './errors';

export const REQUEST_TIMEOUT_MS = 30_000;
/** An access token this close to its end is renewed before it is used. */
export const RENEW_BEFORE_MS = 30_000;

export interface Session {
  readonly user: UserDto;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Life of the access token, in seconds. */
  readonly expiresIn: number;
}

export interface List<T> {
  readonly items: readonly T[];
  readonly hasMore: boolean;
  readonly nextCursor?: string;
}

type Member = ConversationDto['members'][number];
type Query = Readonly<Record<string, string | number | undefined>>;

export interface ApiOptions {
  readonly url: string;
  /** Of an earlier run, to go on with. */
  readonly session?: Session;
  /** Called with every new session, to keep it; undefined after logout. Refresh tokens work once. */
  readonly onSession?: (session: Session | undefined) => void;
}

export interface NewConversation {
  readonly kind: 'direct' | 'group';
  readonly memberIds: readonly string[];
  readonly title?: string;
}

/** The REST side of PROTOCOL.md, section 5. Every method rejects with {@link ParleyError} when refused. */
export class ParleyApi {
  private current: Session | undefined;
  private expiresAt = 0;
  private renewing: Promise<Session> | undefined;

  constructor(private readonly options: ApiOptions) {
    this.current = options.session;
  }

  get session(): Session | undefined {
    return this.current;
  }

  register(account: { username: string; password: string; displayName?: string }): Promise<Session> {
    return this.signIn('register', account);
  }

  login(account: { username: string; password: string }): Promise<Session> {
    return this.signIn('login', account);
  }

  /** Trades the refresh token for a new session. Calls at one time share one trade: the token works once. */
  refresh(): Promise<Session> {
    this.renewing ??= this.renew().finally(() => {
      this.renewing = undefined;
    });
    return this.renewing;
  }

  async logout(): Promise<void> {
    const refreshToken = this.current?.refreshToken;
    if (refreshToken !== undefined) await this.call('POST', '/auth/logout', { refreshToken });
    this.keep(undefined);
  }

  /** A token provider for ParleyClient: renews when the token is about to end, or was refused. */
  readonly token = async ({ renew }: { readonly renew: boolean }): Promise<string> => {
    if (this.current === undefined) throw ParleyError.of('unauthenticated', 'nobody is signed in');
    const session = renew || Date.now() > this.expiresAt ? await this.refresh() : this.current;
    return session.accessToken;
  };

  me(): Promise<UserDto> {
    return this.authorized('GET', '/users/me');
  }

  user(id: string): Promise<UserDto> {
    return this.authorized('GET', `/users/${encodeURIComponent(id)}`);
  }

  /** People whose names begin like this. */
  users(query: string): Promise<List<UserDto>> {
    return this.authorized('GET', `/users${search({ query })}`);
  }

  createConversation(conversation: NewConversation): Promise<ConversationDto> {
    return this.authorized('POST', '/conversations', conversation);
  }

  /** Newest activity first. */
  conversations(page: { limit?: number; cursor?: string } = {}): Promise<List<ConversationDto>> {
    return this.authorized('GET', `/conversations${search(page)}`);
  }

  conversation(id: string, options: { minSeq?: number } = {}): Promise<ConversationDto> {
    return this.authorized('GET', `/conversations/${encodeURIComponent(id)}${search(options)}`);
  }

  members(id: string, page: { limit?: number; cursor?: string } = {}): Promise<List<Member>> {
    return this.authorized('GET', `/conversations/${encodeURIComponent(id)}/members${search(page)}`);
  }

  addMembers(id: string, userIds: readonly string[]): Promise<unknown> {
    return this.authorized('POST', `/conversations/${encodeURIComponent(id)}/members`, { userIds });
  }

  /** Removes somebody, or leaves when it is oneself. */
  removeMember(id: string, userId: string): Promise<unknown> {
    const path = `/conversations/${encodeURIComponent(id)}/members/${encodeURIComponent(userId)}`;
    return this.authorized('DELETE', path);
  }

  /** Messages as they now are, chronological inside a page. */
  messages(
    id: string,
    page: { limit?: number; before?: number; after?: number; around?: number; minSeq?: number } = {},
  ): Promise<List<MessageDto>> {
    return this.authorized('GET', `/conversations/${encodeURIComponent(id)}/messages${search(page)}`);
  }

  /** The raw events after a seq, as in `sync`. */
  events(id: string, page: { after?: number; limit?: number } = {}): Promise<List<EventFrame>> {
    return this.authorized('GET', `/conversations/${encodeURIComponent(id)}/events${search(page)}`);
  }

  sendMessage(
    id: string,
    clientMessageId: string,
    content: ContentInputDto,
  ): Promise<{ seq: number; ordinal: number; messageId: string; duplicate: boolean }> {
    const path = `/conversations/${encodeURIComponent(id)}/messages`;
    return this.authorized('POST', path, { content }, { 'idempotency-key': clientMessageId });
  }

  markRead(id: string, upTo: number): Promise<unknown> {
    return this.authorized('POST', `/conversations/${encodeURIComponent(id)}/read`, { upTo });
  }

  private async signIn(how: 'register' | 'login', account: object): Promise<Session> {
    const session = await this.call<Session>('POST', `/auth/${how}`, account);
    this.keep(session);
    return session;
  }

  private async renew(): Promise<Session> {
    const refreshToken = this.current?.refreshToken;
    if (refreshToken === undefined) throw ParleyError.of('unauthenticated', 'nobody is signed in');
    const session = await this.call<Session>('POST', '/auth/refresh', { refreshToken });
    this.keep(session);
    return session;
  }

  private keep(session: Session | undefined): void {
    this.current = session;
    this.expiresAt = session === undefined ? 0 : Date.now() + session.expiresIn * 1_000 - RENEW_BEFORE_MS;
    this.options.onSession?.(session);
  }

  private async authorized<T>(
    method: string,
    path: string,
    body?: object,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<T> {
    const token = await this.token({ renew: false });
    try {
      return await this.call(method, path, body, { ...headers, authorization: `Bearer ${token}` });
    } catch (error) {
      if (!(error instanceof ParleyError) || error.code !== 'unauthenticated') throw error;
      const renewed = await this.token({ renew: true });
      return this.call(method, path, body, { ...headers, authorization: `Bearer ${renewed}` });
    }
  }

  private async call<T>(
    method: string,
    path: string,
    body?: object,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<T> {
    const response = await fetch(`${this.options.url.replace(/\/+$/, '')}/api/v1${path}`, {
      method,
      headers: body === undefined ? headers : { ...headers, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const value = parsed(await response.text(), response.status);
    if (!response.ok) throw isProblem(value) ? new ParleyError(value) : unanswered(response.status);
    return value as T;
  }
}

/** A balancer that finds no node answers with a page of its own. @throws ParleyError that is worth a retry */
function parsed(text: string, status: number): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    throw unanswered(status);
  }
}

const isProblem = (value: unknown): value is Problem =>
  typeof (value as { code?: unknown } | null | undefined)?.code === 'string';

const unanswered = (status: number): ParleyError =>
  ParleyError.of('unavailable', `answered ${status} by somebody who is not Parley`);

function search(query: Query): string {
  const given = Object.entries(query).flatMap(([key, value]): [string, string][] =>
    value === undefined ? [] : [[key, String(value)]],
  );
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}
