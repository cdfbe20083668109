import { Inject, Injectable, Logger } from '@nestjs/common';
import { AccessTokens, type AccessClaims } from '../application/ports/access-tokens';
import { DeviceRegistry, type DeviceSighting } from '../application/ports/device-registry';
import { EventLog } from '../application/ports/event-log';
import { PresenceStore } from '../application/ports/presence';
import { SocketDirectory } from '../application/ports/socket-directory';
import { CONFIG, type Config } from '../config/config';
import { Hub } from '../delivery/hub';
import { Clock } from '../kernel/clock';
import { asDeviceId, toIso, type DeviceId } from '../kernel/ids';
import { problem } from '../protocol/errors';
import { refusal, withId, type Answer } from './answers';
import { FrameRates } from './frame-rates';
import { monotonicNow } from './monotonic';
import type { Caller, Session } from './session';

/** What a device says of itself beside its token. */
export interface DeviceClaim {
  readonly deviceId: string;
  readonly deviceName?: string | undefined;
  readonly platform?: string | undefined;
}

/** How long a user with too many sockets should wait; one of them has to go first. */
const TOO_MANY_RETRY_MS = 10_000;

/** Lets sockets in, and keeps them in for as long as their token says. */
@Injectable()
export class Authentication {
  private readonly logger = new Logger(Authentication.name);

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly tokens: AccessTokens,
    private readonly devices: DeviceRegistry,
    private readonly log: EventLog,
    private readonly presence: PresenceStore,
    private readonly hub: Hub,
    private readonly directory: SocketDirectory,
    private readonly rates: FrameRates,
    private readonly clock: Clock,
  ) {}

  /**
   * Answers with `ready`, after which the socket is live; or refuses and closes: 4004 for a token that is not
   * good, 4008 when the user has too many sockets. `id` is that of the `auth` frame, if it came by one.
   */
  async authenticate(session: Session, token: string, device: DeviceClaim, id?: string): Promise<void> {
    const claims = await this.tokens.verify(token);
    // Asked before the socket goes live, so that nothing can be pushed between that and `ready`.
    const epoch = claims === undefined ? '' : await this.log.epoch();
    if (!session.isOpen) return;
    if (claims === undefined) {
      this.turnAway(session, id);
      return;
    }
    const deviceId = asDeviceId(device.deviceId);
    const key = { userId: claims.userId, deviceId, sessionId: session.sessionId };
    // Nobody waits for `learn`: it only has to be there before the second message.
    this.rates.learn(claims.userId);
    const { openedAt } = session;
    // This node's own sockets it can tell apart to the microsecond; the directory, to the second.
    const entry = this.hub.hasLater({ ...key, openedAt })
      ? 'displaced'
      : await this.directory.register(key, monotonicNow() - openedAt);
    if (hasLeft(session)) {
      await this.directory.unregister(key);
      return;
    }
    session.caller = { ...claims, deviceId };
    const standing = entry === 'registered' ? this.hub.register(session, claims.signInId) : entry;
    if (standing === 'displaced') {
      // The device has given this connection up and has another: nobody reads an answer here.
      session.close('signedOut');
      return;
    }
    if (standing === 'tooMany') {
      session.caller = undefined;
      await this.directory.unregister(key);
      const tooMany = problem('rate_limited', 'this user has too many sockets', {
        retryAfterMs: TOO_MANY_RETRY_MS,
      });
      void session.answer(withId(refusal(tooMany), id));
      session.close('rateLimited');
      return;
    }
    void session.answer(withId(this.ready(session, session.caller, epoch), id));
    this.announce(session, claims, device);
  }

  /** The socket stays as it is with a newer token of the same user; any other token closes it with 4004. */
  async reauthenticate(session: Session, caller: Caller, token: string): Promise<'renewed' | 'turnedAway'> {
    const claims = await this.tokens.verify(token);
    if (claims?.userId !== caller.userId) return 'turnedAway';
    if (!session.isOpen) return 'renewed';
    session.caller = { ...claims, deviceId: caller.deviceId };
    if (claims.signInId !== caller.signInId) {
      // Ending the sign-in that the new token belongs to must end this socket.
      this.hub.unregister(session);
      this.hub.register(session, claims.signInId);
    }
    return 'renewed';
  }

  /** Refuses a token: `error`, then close 4004. */
  turnAway(session: Session, id: string | undefined): void {
    const refused = problem('unauthenticated', 'the token is invalid or has expired');
    void session.answer(withId(refusal(refused), id));
    session.close('tokenInvalid');
  }

  private ready(session: Session, caller: Caller, epoch: string): Answer {
    return {
      event: 'ready',
      data: {
        sessionId: session.sessionId,
        userId: caller.userId,
        deviceId: caller.deviceId,
        epoch,
        heartbeatMs: this.config.heartbeatMs,
        serverTime: toIso(this.clock.now()),
        limits: { ...this.config.limits },
      },
    };
  }

  /** Presence and the list of devices: hints, which nobody waits for. */
  private announce(session: Session, { userId, signInId }: AccessClaims, device: DeviceClaim): void {
    const deviceId: DeviceId = asDeviceId(device.deviceId);
    const sighting: DeviceSighting = {
      userId,
      deviceId,
      signInId,
      ...(device.deviceName === undefined ? {} : { name: device.deviceName }),
      ...(device.platform === undefined ? {} : { platform: device.platform }),
    };
    this.devices.seen(sighting).catch((error: unknown) => {
      this.logger.warn({ err: error, userId, deviceId }, 'a device could not be noted');
    });
    this.presence.beat({ userId, deviceId, sessionId: session.sessionId }).catch((error: unknown) => {
      this.logger.debug({ err: error }, 'presence is not available');
    });
  }
}

/** Asked again after every wait: a session may leave during it. */
const hasLeft = (session: Session): boolean => !session.isOpen;
