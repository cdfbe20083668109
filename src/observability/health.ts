import { Injectable } from '@nestjs/common';

/** A store that answers later than this is as good as down for the one who asks. */
export const HEALTH_CHECK_TIMEOUT_MS = 2_000;

export interface CheckResult {
  readonly status: 'up' | 'down';
  /** For an operator; shown to anybody who asks, so never a secret, an address or a stack trace. */
  readonly detail?: string;
}

/** Resolves to what it found; a rejection or a late answer counts as down. */
export type HealthCheck = () => Promise<CheckResult> | CheckResult;

export interface Readiness {
  readonly status: 'ready' | 'draining' | 'not_ready';
  readonly checks: Readonly<Record<string, CheckResult>>;
}

/** What this node needs in order to serve: each store and feed registers its own check. */
@Injectable()
export class HealthChecks {
  private readonly checks = new Map<string, { readonly check: HealthCheck; readonly isCritical: boolean }>();
  private leaving = false;

  /**
   * @param isCritical whether the node is better left alone while this is down. A store that fails apart (the
   *   others go on serving) is not: with it, one store would take all nodes out of the balancer at once.
   * @returns a function that takes the check out again
   * @throws Error when the name is taken: two stores under one name would hide each other
   */
  register(name: string, check: HealthCheck, isCritical = true): () => void {
    if (this.checks.has(name)) throw new Error(`health check ${name} is registered already`);
    this.checks.set(name, { check, isCritical });
    return () => {
      this.checks.delete(name);
    };
  }

  /** From now on the node is not ready, so that load balancers send nobody new. */
  drain(): void {
    this.leaving = true;
  }

  get draining(): boolean {
    return this.leaving;
  }

  /** Asks all checks at once; takes HEALTH_CHECK_TIMEOUT_MS at most. */
  async readiness(): Promise<Readiness> {
    const results = await Promise.all(
      Array.from(this.checks, async ([name, { check }]) => [name, await withinTime(check)] as const),
    );
    const allUp = results.every(([name, { status }]) => status === 'up' || !this.isCritical(name));
    return {
      status: this.leaving ? 'draining' : allUp ? 'ready' : 'not_ready',
      checks: Object.fromEntries(results),
    };
  }

  private isCritical(name: string): boolean {
    return this.checks.get(name)?.isCritical ?? false;
  }
}

async function withinTime(check: HealthCheck): Promise<CheckResult> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<CheckResult>((resolve) => {
    timer = setTimeout(() => {
      resolve({ status: 'down', detail: 'no answer in time' });
    }, HEALTH_CHECK_TIMEOUT_MS);
  });
  try {
    return await Promise.race([Promise.resolve().then(check), late]);
  } catch {
    // The message may name hosts and users; the store's own log has it.
    return { status: 'down', detail: 'the check failed' };
  } finally {
    clearTimeout(timer);
  }
}
