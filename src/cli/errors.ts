import { DeviceError, DivergenceError, FormatError, ShapeError, UsageError } from "../node.ts";

/** What ends a command, as its user sees it. */
export interface Failure {
  readonly text: string;
  readonly exitCode: 1 | 2;
}

/** An error of ours says itself what to do; of anything else we say that it is our fault, and where. */
export function failureOf(error: unknown): Failure {
  if (error instanceof UsageError) return { text: error.message, exitCode: 2 };
  if (!(error instanceof Error)) return { text: `internal: ${String(error)}`, exitCode: 1 };
  if (isOurs(error)) return { text: error.message, exitCode: 1 };
  if (isOfSystem(error)) return { text: `statewise: ${inWords(error)}`, exitCode: 1 };
  const stack = error.stack ?? `${error.name}: ${error.message}`;
  return { text: `internal: this is a mistake in statewise, please report it.\n${stack}`, exitCode: 1 };
}

const classes = [ShapeError, DeviceError, FormatError, DivergenceError];

/** RangeErrors are thrown by our data and by JavaScript itself: ours begin with who says it. */
function isOurs(error: Error): boolean {
  if (error.message.startsWith("internal:")) return false;
  if (classes.some((one) => error instanceof one)) return true;
  return error instanceof RangeError && /^[a-z][\w-]*: /.test(error.message);
}

/** What the operating system refused: a full disk, a missing right. */
function isOfSystem(error: Error): error is NodeJS.ErrnoException {
  return "code" in error && "syscall" in error;
}

function inWords({ message, code, path }: NodeJS.ErrnoException): string {
  if (code === "EACCES" || code === "EPERM") return `may not read or write ${path}. Check its permissions.`;
  if (code === "ENOSPC") return `the disk is full${path ? ` (${path})` : ""}. Make room and run it again.`;
  return message;
}
