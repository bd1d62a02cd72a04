import { openDevice } from "../../src/browser.ts";
import { runRegistered } from "./nodeTest.ts";

/** What browser.test.ts calls in the page. */
const calls = {
  /** Runs a test file as the page sees it, where node:test, node:assert and ../devices.ts are those of this folder. */
  async runFile(path: string) {
    await import(path);
    return runRegistered();
  },

  /** The name of the device that opens, or the error. */
  async open(options: Parameters<typeof openDevice>[0]): Promise<string> {
    try {
      const device = await openDevice(options);
      await device.dispose();
      return device.name;
    } catch (error) {
      return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    }
  },
};

export type Calls = typeof calls;
Object.assign(globalThis, { calls });
