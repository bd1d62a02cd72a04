/** A chart as a page: a title, a key of colours, and panels of @observablehq/plot below each other. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

const width = 860;
const panelHeight = 260;
const titleHeight = 34;
const keyHeight = 18;
const left = 60;

/** One panel as SVG text, in the size and style of all of them. */
export function panel(options: Plot.PlotOptions): string {
  const { document } = parseHTML("<html><body></body></html>");
  return Plot.plot({
    document,
    width,
    height: panelHeight,
    marginLeft: left,
    marginRight: 30,
    marginBottom: 38,
    style: { fontSize: "12px", fontFamily: "system-ui, sans-serif" },
    ...options,
  }).outerHTML;
}

/** The panels under a title and a key of the colours by what they stand for. */
export function page(
  title: string,
  key: Readonly<Record<string, string>>,
  panels: readonly string[],
): string {
  let [x, row] = [left, 0];
  const entries = Object.entries(key).map(([label, color]) => {
    const own = 44 + 7 * label.length; // about as wide as the text is
    if (x > left && x + own > width) [x, row] = [left, row + 1];
    const [at, y] = [x, titleHeight + row * keyHeight];
    x += own;
    return (
      `<rect x="${at}" y="${y}" width="14" height="4" fill="${color}"/>` +
      `<text x="${at + 20}" y="${y + 6}" font-size="12">${escaped(label)}</text>`
    );
  });
  const top = titleHeight + (row + 1) * keyHeight;
  const height = top + panels.length * (panelHeight + 12);
  const placed = panels.map((svg, i) => {
    const y = top + i * (panelHeight + 12);
    return svg.replace("<svg ", `<svg x="0" y="${y}" `).replaceAll("&nbsp;", " ");
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"` +
      ` font-family="system-ui, sans-serif" fill="#222">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    `<text x="16" y="22" font-size="16" font-weight="bold">${escaped(title)}</text>`,
    ...entries,
    ...placed,
    `</svg>\n`,
  ].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
