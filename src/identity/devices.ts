import { Injectable } from '@nestjs/common';
import { DeviceRegistry, type DeviceSighting } from '../application/ports/device-registry';
import { SocketControl } from '../application/ports/socket-control';
import { Database } from '../infrastructure/postgres/database';
import { Clock } from '../kernel/clock';
import { asDeviceId, asMillis, type DeviceId, type Millis, type UserId } from '../kernel/ids';
import { SignIns } from './sign-ins';

/** Devices remembered per user; the one not seen for longest goes when another comes. */
export const DEVICES_PER_USER_MAX = 100;

export interface DeviceView {
  readonly id: DeviceId;
  readonly name: string | undefined;
  readonly platform: string | undefined;
  readonly signInId: string;
  readonly createdAt: Millis;
  readonly lastSeenAt: Millis;
}

interface DeviceRow {
  readonly id: string;
  readonly name: string | null;
  readonly platform: string | null;
  readonly sign_in_id: string;
  readonly created_at: Date;
  readonly last_seen_at: Date;
}

/** The installations a user connects from. */
@Injectable()
export class Devices extends DeviceRegistry {
  constructor(
    private readonly database: Database,
    private readonly signIns: SignIns,
    private readonly sockets: SocketControl,
    private readonly clock: Clock,
  ) {
    super();
  }

  override async seen(sighting: DeviceSighting): Promise<void> {
    const now = new Date(this.clock.now());
    const { userId, deviceId, signInId } = sighting;
    const [device] = await this.database.query<{ added: boolean }>(
      `WITH sign_in AS (UPDATE app.sign_ins SET device_id = $2 WHERE id = $3 AND user_id = $1),
            person AS (UPDATE app.users SET last_seen_at = $6 WHERE id = $1)
       INSERT INTO app.devices (user_id, id, sign_in_id, name, platform, created_at, last_seen_at)
       VALUES ($1, $2, $3, $4, $5, $6, $6)
       ON CONFLICT (user_id, id) DO UPDATE SET sign_in_id = excluded.sign_in_id,
         name = coalesce(excluded.name, devices.name), platform = coalesce(excluded.platform, devices.platform),
         last_seen_at = excluded.last_seen_at
       RETURNING created_at = last_seen_at AS added`,
      [userId, deviceId, signInId, sighting.name ?? null, sighting.platform ?? null, now],
      'devices.seen',
    );
    if (device?.added === true) await this.forgetOldest(userId);
  }

  /** Most recently seen first; DEVICES_PER_USER_MAX at most. */
  async list(userId: UserId): Promise<readonly DeviceView[]> {
    const rows = await this.database.query<DeviceRow>(
      `SELECT id, name, platform, sign_in_id, created_at, last_seen_at FROM app.devices
       WHERE user_id = $1 ORDER BY last_seen_at DESC, id LIMIT $2`,
      [userId, DEVICES_PER_USER_MAX],
    );
    return rows.map((row) => ({
      id: asDeviceId(row.id),
      name: row.name ?? undefined,
      platform: row.platform ?? undefined,
      signInId: row.sign_in_id,
      createdAt: asMillis(row.created_at.getTime()),
      lastSeenAt: asMillis(row.last_seen_at.getTime()),
    }));
  }

  /** Signs the device out everywhere: its sign-ins end, its sockets close. false: the user has no such device. */
  async remove(userId: UserId, deviceId: DeviceId): Promise<boolean> {
    const [removed] = await this.database.query<{ sign_in_id: string }>(
      'DELETE FROM app.devices WHERE user_id = $1 AND id = $2 RETURNING sign_in_id',
      [userId, deviceId],
    );
    if (removed === undefined) return false;
    await this.signIns.endThoseOfDevice(userId, deviceId, removed.sign_in_id);
    this.sockets.signOut(userId, { deviceId });
    return true;
  }

  private async forgetOldest(userId: UserId): Promise<void> {
    await this.database.query(
      `DELETE FROM app.devices WHERE user_id = $1 AND id IN (
         SELECT id FROM app.devices WHERE user_id = $1 ORDER BY last_seen_at DESC, id OFFSET $2)`,
      [userId, DEVICES_PER_USER_MAX],
    );
  }
}
