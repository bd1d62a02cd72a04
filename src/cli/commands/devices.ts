import { availableParallelism, cpus } from "node:os";
import {
  type Device,
  DeviceError,
  type DeviceName,
  deviceNames,
  openDevice,
  UsageError,
} from "../../node.ts";
import { defineCommand } from "../command.ts";
import { deviceFlags, outputFlags } from "../flags.ts";
import { counted } from "../format.ts";
import { describeDevice, machineOf } from "../device.ts";

interface Found {
  readonly device: DeviceName;
  readonly opens: boolean;
  /** What it is, or why it does not open. */
  readonly text: string;
  readonly threads?: number;
  readonly lanes?: number;
}

export const devices = defineCommand({
  name: "devices",
  doc: "Says which devices are there, which one would be used, and why.",
  flags: { ...deviceFlags, ...outputFlags },
  async run({ values, terminal }) {
    const found: Found[] = [];
    for (const name of deviceNames) found.push(await tryOpening(name, values.threads));
    const { chosen, reason } = choose(found, values.device);

    const { green, dim, bold } = terminal.colors;
    const machine = describeMachine();
    terminal.say(machine);
    terminal.say();
    terminal.emit({ type: "machine", text: machine });
    for (const { device, opens, text } of found) {
      const mark = opens ? green("✓") : "✗";
      terminal.say(
        `${mark} ${device === chosen ? bold(device.padEnd(7)) : device.padEnd(7)} ${opens ? text : dim(text)}`,
      );
    }
    terminal.say();
    terminal.say(`${bold(chosen)} would be used: ${reason}.`);
    if (chosen !== "webgpu") {
      terminal.say(
        "webgpu, the GPU, is used when it is asked for: --device webgpu, or STATEWISE_DEVICE=webgpu.",
      );
    }
    for (const each of found) terminal.emit({ type: "device", ...each });
    terminal.emit({ type: "choice", device: chosen, reason });
    if (!found.some(({ device, opens }) => device === chosen && opens)) {
      throw new DeviceError(`devices: ${chosen} is asked for and does not open. Ask for another one.`);
    }
    return 0;
  },
});

/** "AMD EPYC 9B45, 2 cores, Node 20.20.0" */
function describeMachine(): string {
  const model = cpus()[0]?.model.trim() || process.arch;
  return `${model}, ${counted(availableParallelism(), "core")}, Node ${process.versions.node}`;
}

async function tryOpening(name: DeviceName, threads: number | undefined): Promise<Found> {
  let device: Device;
  try {
    device = await openDevice({ device: name, ...(name !== "plain" && name !== "webgpu" && { threads }) });
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    return { device: name, opens: false, text: error.message.replace(`${name}: `, "") };
  }
  const found = { device: name, opens: true, text: describeDevice(device), ...machineOf(device) };
  await device.dispose();
  return found;
}

function choose(
  found: readonly Found[],
  flag: DeviceName | undefined,
): { chosen: DeviceName; reason: string } {
  const variable = process.env.STATEWISE_DEVICE || undefined;
  const asked = deviceNames.find((name) => name === variable);
  if (variable && !asked) {
    throw new UsageError(`device: must be one of ${deviceNames.join(", ")}, got ${variable}.`);
  }
  if (flag) return { chosen: flag, reason: "--device asks for it" };
  if (asked) return { chosen: asked, reason: "the environment variable STATEWISE_DEVICE asks for it" };
  const working = found.filter(({ device, opens }) => opens && device !== "webgpu");
  const reason = working.length > 1 ? "it is the fastest that works here" : "nothing else works here";
  return { chosen: working[0].device, reason };
}
