/** What test files use of node:test, for a page. */
type Body = (context: { diagnostic(text: string): void; skip(reason?: string): void }) => unknown;

interface Registered {
  readonly name: string;
  readonly body: Body;
}

const tests: Registered[] = [];
const setups: (() => unknown)[] = [];
const hooks: (() => unknown)[] = [];

export function test(name: string, ...rest: readonly unknown[]): void {
  tests.push({ name, body: rest[rest.length - 1] as Body });
}

export function before(hook: () => unknown): void {
  setups.push(hook);
}

export function after(hook: () => unknown): void {
  hooks.push(hook);
}

/** Runs what was registered since the last time. Returns the number of tests, and what failed. */
export async function runRegistered(): Promise<{ tests: number; failures: string[] }> {
  const failures: string[] = [];
  const own = tests.splice(0);
  for (const hook of setups.splice(0)) await hook();
  for (const { name, body } of own) {
    try {
      await body({ diagnostic() {}, skip() {} });
    } catch (error) {
      failures.push(`${name}: ${inWords(error)}`);
    }
  }
  for (const hook of hooks.splice(0)) await hook();
  return { tests: own.length, failures };
}

function inWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by ${inWords(error.cause)}`;
  return (error.stack ?? error.message) + cause;
}
