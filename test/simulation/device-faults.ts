import { assertNever } from '../../src/kernel/assert-never';
import type { Device } from './device';
import type { Random } from './random';
import type { Step } from './scenario';
import type { VirtualTime } from './virtual-time';

type DeviceFault = Extract<
  Step,
  { kind: 'killDevice' | 'reset' | 'strand' | 'block' | 'stall' | 'deviceClock' }
>;

/** What happens to one device and its line, and its end. */
export function disturbDevice(step: DeviceFault, device: Device, time: VirtualTime, random: Random): void {
  const { link } = device;
  switch (step.kind) {
    case 'killDevice':
      device.kill(step.isSilent);
      time.after(step.forMs, () => {
        device.start();
      });
      return;
    case 'strand':
      device.strandNextMs = step.forMs;
      link?.reset(random);
      return;
    case 'reset':
      link?.reset(random);
      return;
    case 'block':
      link?.block(step.way);
      time.after(step.forMs, () => link?.unblock());
      return;
    case 'stall':
      link?.stall();
      time.after(step.forMs, () => link?.read());
      return;
    case 'deviceClock':
      device.clockMs += step.byMs;
      return;
    default:
      assertNever(step);
  }
}
