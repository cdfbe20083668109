// Loaded before the server by `node --require`, in chaos runs alone: the wall clock of the process is off by as many
// milliseconds as the file named by CHAOS_CLOCK_FILE says. Timers and the monotonic clock are left as they are, as
// when an operator or NTP sets the time of a machine.
const { readFileSync } = require('node:fs');

const file = process.env.CHAOS_CLOCK_FILE;
const RealDate = Date;
let offsetMs = 0;
setInterval(() => {
  try {
    offsetMs = Number(readFileSync(file, 'utf8')) || 0;
  } catch {
    offsetMs = 0;
  }
}, 100).unref();

globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + offsetMs);
    else super(...args);
  }

  static now() {
    return RealDate.now() + offsetMs;
  }
};
