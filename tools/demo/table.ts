import type { Measurements } from './measurements';

const REFRESH_MS = 500;
const PLAIN_REFRESH_MS = 5_000;

export interface Scene {
  readonly people: number;
  readonly online: number;
  /** 0 to 1. */
  readonly done: number;
}

const ms = (value: number): string => `${value.toFixed(1)} ms`;

function rows(measurements: Measurements, scene: Scene): [string, string][] {
  const agree = measurements.checks - measurements.disagreements;
  return [
    ['replayed', `${(scene.done * 100).toFixed(0)} %`],
    ['devices online', `${scene.online} of ${scene.people}`],
    ['messages', String(measurements.messages)],
    ['deliveries', String(measurements.deliveries)],
    ['send → delivered p50', ms(measurements.percentile(50))],
    ['send → delivered p95', ms(measurements.percentile(95))],
    ['send → delivered p99', ms(measurements.percentile(99))],
    ['unread counts = log', `${agree} of ${measurements.checks} checked`],
  ];
}

/**
 * Shows the measurements while `work` runs: a table redrawn in place on a terminal, else a line now and then.
 * The last state stays.
 */
export async function withTable<T>(
  measurements: Measurements,
  scene: () => Scene,
  work: Promise<T>,
): Promise<T> {
  const isTerminal = process.stdout.isTTY;
  let drawn = 0;
  const draw = (): void => {
    const table = rows(measurements, scene());
    if (!isTerminal) {
      process.stdout.write(`${table.map(([name, value]) => `${name}: ${value}`).join(' · ')}\n`);
      return;
    }
    const up = drawn > 0 ? `\u001b[${drawn}A` : '';
    const lines = table.map(([name, value]) => `\u001b[2K  ${name.padEnd(22)} ${value.padStart(22)}`);
    process.stdout.write(`${up}${lines.join('\n')}\n`);
    drawn = table.length;
  };
  const timer = setInterval(draw, isTerminal ? REFRESH_MS : PLAIN_REFRESH_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    draw();
  }
}
