import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";

import { adapters } from "../scripts/goldens/adapters.ts";
import { runCase } from "../scripts/goldens/run.ts";
import { diskFiles } from "../src/checkpoint/diskFiles.ts";
import { openDevices } from "./devices.ts";
import { exactDevice } from "./gradcheck.ts";

const folder = "test/golden";
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".json"))
  .map((file) => file.slice(0, -".json".length));
const devices = [exactDevice(), ...(await openDevices())];
after(() => Promise.all(devices.map((device) => device.dispose())));

for (const device of devices) {
  for (const name of names) {
    test(`${device.name} ${device.float}: ${name} agrees with the official code`, async () => {
      const { outcome, reason, comparisons } = await runCase(diskFiles(folder), name, adapters, { device });
      const wrong = comparisons.filter(({ failure }) => failure !== null).map(({ tensor }) => tensor);
      assert.equal(outcome, "passed", `${reason}: ${wrong.join(", ")}`);
      assert.ok(comparisons.length > 0);
    });
  }
}
