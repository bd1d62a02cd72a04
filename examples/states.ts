/** A sequence read whole, in pieces, and token by token: the same bits, because the state is a value. */
import { createMamba, mambaConfig, openDevice } from "statewise/node";

const device = await openDevice();
const model = createMamba(device, mambaConfig({ vocabulary: 256, dModel: 64, layers: 2 }), 1);
const text = new TextEncoder().encode("What is remembered has one size, however long it took to read.");

const whole = model.forward(device.integers(text, [1, text.length]), { lastOnly: true });

const first = model.forward(device.integers(text.subarray(0, 20), [1, 20]));
const rest = device.integers(text.subarray(20), [1, text.length - 20]);
const pieces = model.forward(rest, { state: first.state, lastOnly: true });

let state = model.initialState(1);
let logits = new Float32Array();
for (const token of text) {
  const next = model.step(device.integers([token]), state);
  ({ state } = next);
  logits = (await next.logits.read()) as typeof logits;
}

const expected = Buffer.from((await whole.logits.read()).buffer);
console.log("in pieces:      ", expected.equals(Buffer.from((await pieces.logits.read()).buffer)));
console.log("token by token: ", expected.equals(Buffer.from(logits.buffer)));
const bytes = state
  .flatMap((layer) => Object.values(layer))
  .reduce((sum, { buffer }) => sum + 4 * buffer.length, 0);
console.log(`state: ${bytes} bytes after ${text.length} tokens, and after a million`);
await device.dispose();
