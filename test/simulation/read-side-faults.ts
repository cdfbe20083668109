import type { Device } from './device';
import type { Random } from './random';
import type { ReadSide } from './read-side';
import type { Step } from './scenario';
import type { VirtualTime } from './virtual-time';

/** What a projector's pauses grow to while its store is away. */
const PROJECTOR_BACK_MS = 5_000;
/**
 * Of each device to be off from a while before the store crashes until it is back: whoever was there all along has been
 * told what the store forgets, and what goes wrong together is what is worth trying.
 */
const DEVICE_OFF = 0.5;
const OFF_BEFORE_MS = 3_000;

/** The read models stop, cannot be asked, or come back without their last commits; and go on after a while. */
export function disturbReadSide(
  { mode, forMs }: Extract<Step, { kind: 'projector' }>,
  readSide: ReadSide,
  { time, random, devices }: { time: VirtualTime; random: Random; devices: readonly Device[] },
): void {
  const run = (): void => {
    readSide.mode = 'running';
    readSide.wake();
  };
  if (mode !== 'crashed') {
    readSide.mode = mode;
    time.after(forMs, run);
    return;
  }
  const off = devices.filter(() => random.chance(DEVICE_OFF));
  for (const device of off) device.kill(false);
  time.after(OFF_BEFORE_MS, () => {
    readSide.crash();
    time.after(forMs, () => {
      // Who asks it finds it sooner than the projector does, which tries again ever less often.
      readSide.mode = 'stopped';
      for (const device of off) device.start();
      time.after(PROJECTOR_BACK_MS, run);
    });
  });
}
