import { Controller, Delete, Get, UseGuards } from '@nestjs/common';
import type { AccessClaims } from '../application/ports/access-tokens';
import { Devices } from '../identity/devices';
import type { DeviceId } from '../kernel/ids';
import { DeviceList, type DeviceDto, type ListDto } from '../protocol/rest';
import { AccessGuard } from './access.guard';
import { Describe } from './describe';
import { toDeviceDto } from './dto';
import { PathId } from './input';
import { notFound } from './problem-exception';
import { Caller } from './request';

@UseGuards(AccessGuard)
@Controller('api/v1/devices')
export class DevicesController {
  constructor(private readonly devices: Devices) {}

  @Get()
  @Describe({ summary: 'My devices, most recently seen first', answers: { 200: DeviceList } })
  async list(@Caller() caller: AccessClaims): Promise<ListDto<DeviceDto>> {
    const devices = await this.devices.list(caller.userId);
    return { items: devices.map((device) => toDeviceDto(device, caller.signInId)), hasMore: false };
  }

  @Delete(':deviceId')
  @Describe({
    summary: 'Sign a device of mine out: its sign-ins end and its sockets close',
    answers: { 204: 'empty' },
    refusals: ['not_found'],
  })
  async remove(@Caller() caller: AccessClaims, @PathId('deviceId') deviceId: DeviceId): Promise<void> {
    if (!(await this.devices.remove(caller.userId, deviceId))) throw notFound();
  }
}
