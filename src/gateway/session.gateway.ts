import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { problem } from '../protocol/errors';
import { ok, refusal, type Answer, type FirstFrame, type Incoming } from './answers';
import { Authentication } from './authentication';

/** Who a socket is, and whether it is there (PROTOCOL.md section 3). */
@WebSocketGateway({ path: '/ws' })
export class SessionGateway {
  constructor(private readonly authentication: Authentication) {}

  @SubscribeMessage('auth')
  async auth({ session, id, data }: FirstFrame): Promise<Answer | undefined> {
    if (session.caller !== undefined) {
      return refusal(problem('conflict', 'the socket is authenticated; a newer token comes by reauth'));
    }
    await this.authentication.authenticate(session, data.token, data, id);
    return undefined;
  }

  @SubscribeMessage('reauth')
  async reauth(incoming: Incoming<'reauth'>): Promise<Answer | undefined> {
    const { session, caller, id, data } = incoming;
    const result = await this.authentication.reauthenticate(session, caller, data.token);
    if (result === 'renewed') return ok();
    this.authentication.turnAway(session, id);
    return undefined;
  }

  @SubscribeMessage('ping')
  ping(): Answer {
    return { event: 'pong', data: {} };
  }
}
