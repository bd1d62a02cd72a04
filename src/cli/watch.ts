import { type Backend, Device, type Executable, type Plan } from "../node.ts";

/** A program as it was planned, and what the device made of it. */
export interface Compiled {
  readonly plan: Plan;
  readonly executable: Executable;
}

/** The same device, and in `compiled` every program that is captured on it from now on. */
export function watch({ backend }: Device): {
  readonly device: Device;
  readonly compiled: readonly Compiled[];
} {
  const compiled: Compiled[] = [];
  const watched: Backend = {
    name: backend.name,
    float: backend.float,
    allocate: (dtype, length) => backend.allocate(dtype, length),
    free: (buffer) => backend.free(buffer),
    write: (buffer, values, offset) => backend.write(buffer, values, offset),
    read: (buffer) => backend.read(buffer),
    run: (call) => backend.run(call),
    compile(plan) {
      const executable = backend.compile(plan);
      compiled.push({ plan, executable });
      return executable;
    },
    dispose: () => backend.dispose(),
    ...(backend.settle && { settle: () => backend.settle!() }), // as just seen
  };
  return { device: new Device(watched), compiled };
}
