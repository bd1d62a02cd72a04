/** What test files use of node:assert/strict, for a page. */
type Expected =
  RegExp | { readonly name?: string; readonly message?: string | RegExp } | ((error: unknown) => boolean);

const assert = {
  ok(value: unknown, message?: string): void {
    if (!value) throw new Error(message ?? `${String(value)} is not true`);
  },
  equal(got: unknown, expected: unknown, message = ""): void {
    assert.ok(Object.is(got, expected), `${message}: ${String(got)} must be ${String(expected)}`);
  },
  notEqual(got: unknown, other: unknown, message = ""): void {
    assert.ok(!Object.is(got, other), `${message}: must not be ${String(other)}`);
  },
  deepEqual(got: unknown, expected: unknown, message = ""): void {
    assert.ok(same(got, expected), `${message}: ${shown(got)} must be ${shown(expected)}`);
  },
  fail(message: string): never {
    throw new Error(message);
  },
  match(text: string, pattern: RegExp): void {
    assert.ok(pattern.test(text), `${text} must match ${pattern}`);
  },
  doesNotMatch(text: string, pattern: RegExp): void {
    assert.ok(!pattern.test(text), `${text} must not match ${pattern}`);
  },
  throws(run: () => unknown, expected?: Expected): void {
    let thrown: unknown;
    try {
      run();
    } catch (error) {
      thrown = error;
    }
    expectError(thrown, expected);
  },
  async rejects(pending: Promise<unknown> | (() => Promise<unknown>), expected?: Expected): Promise<void> {
    const thrown = await (typeof pending === "function" ? pending() : pending).then(
      () => undefined,
      (error: unknown) => error,
    );
    expectError(thrown, expected);
  },
};

export { assert as default }; // oxlint-disable-line import/no-default-export -- as node:assert/strict has it

function expectError(thrown: unknown, expected: Expected | undefined): void {
  assert.ok(thrown !== undefined, "an error was expected");
  if (expected === undefined) return;
  const { name, message } = thrown as Error;
  if (typeof expected === "function")
    assert.ok(expected(thrown), `another error was expected than ${message}`);
  else if (expected instanceof RegExp) assert.match(String(thrown), expected);
  else {
    if (expected.name !== undefined) assert.equal(name, expected.name);
    if (expected.message instanceof RegExp) assert.match(message, expected.message);
    else if (expected.message !== undefined) assert.equal(message, expected.message);
  }
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a.constructor !== b.constructor) return false;
  if (a instanceof Map && b instanceof Map) return same([...a], [...b]);
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  return (
    keys.length === others.length &&
    keys.every((key) => same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
  );
}

function shown(value: unknown): string {
  return ArrayBuffer.isView(value) ? `[${String(value)}]` : JSON.stringify(value);
}
