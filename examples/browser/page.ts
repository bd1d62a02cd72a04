/** Starts and stops the training, and draws how it goes. */
import type { News } from "./worker.ts";

function find<Kind extends HTMLElement>(id: string): Kind {
  return document.getElementById(id) as Kind; // index.html has it
}
const [start, stop, status] = [
  find<HTMLButtonElement>("start"),
  find<HTMLButtonElement>("stop"),
  find("status"),
];
const canvas = find<HTMLCanvasElement>("chart");

let worker: Worker | null = null;
let device = "";
let steps: Extract<News, { type: "step" }>[] = [];

start.addEventListener("click", () => {
  end();
  steps = [];
  worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }: MessageEvent<News>) => hear(data));
  worker.postMessage(find<HTMLSelectElement>("device").value);
  status.textContent = "Opening the device …";
  [start.disabled, stop.disabled] = [true, false];
});

stop.addEventListener("click", () => {
  end();
  status.textContent += " Stopped.";
});

function end(): void {
  worker?.terminate();
  cancelAnimationFrame(frame);
  if (frame !== 0) draw();
  worker = null;
  [start.disabled, stop.disabled] = [false, true];
}

function hear(news: News): void {
  if (news.type === "error") {
    end();
    status.textContent = news.message;
  } else if (news.type === "begin") {
    device = `${news.device}, ${news.parameters} parameters`;
  } else {
    if (frame === 0) frame = requestAnimationFrame(draw);
    steps.push(news);
  }
}

/** Of the frame in which the chart is drawn next; 0 when nothing new is to be drawn. */
let frame = 0;

function draw(): void {
  frame = 0;
  const pen = canvas.getContext("2d");
  const last = steps.at(-1);
  if (!pen || !last) return;
  const { width, height } = canvas;
  pen.clearRect(0, 0, width, height);
  const highest = Math.max(...steps.map(({ loss }) => loss));
  const stride = Math.ceil(steps.length / 700); // a long training is not drawn in full
  const line = (colour: string, valueOf: (step: (typeof steps)[number]) => number) => {
    pen.beginPath();
    for (let i = 0; i < steps.length; i += stride) {
      pen.lineTo((i / steps.length) * width, (1 - 0.96 * valueOf(steps[i])) * (height - 8));
    }
    Object.assign(pen, { strokeStyle: colour, lineWidth: 3 }).stroke();
  };
  line("#c2410c", ({ loss }) => loss / highest);
  line("#1d4ed8", ({ accuracy }) => accuracy);
  const rate =
    steps.slice(-20).reduce((sum, { perSecond }) => sum + perSecond, 0) / Math.min(steps.length, 20);
  status.textContent =
    `${device}: step ${steps.length}, ${rate.toFixed(1)} a second, loss ${last.loss.toFixed(3)}, ` +
    `accuracy ${(100 * last.accuracy).toFixed(0)} %.`;
}
