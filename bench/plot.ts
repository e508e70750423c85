/** Points on two logarithmic axes as an SVG text, one series for each colour. */

import { escaped } from "./svg.ts";

export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Plot {
  readonly title: string;
  readonly xName: string;
  readonly yName: string;
  readonly series: readonly Series[];
}

const width = 760;
const height = 460;
const margin = { left: 76, right: 180, top: 48, bottom: 56 };
const colours = ["#1b6ca8", "#c8553d", "#5a8f29", "#7a4b94"];

/** Values of 0 stand at the left end as 1. */
export function logPlot({ title, xName, yName, series }: Plot): string {
  const all = series.flatMap(({ points }) => points);
  const x = axis(all.map((point) => point.x));
  const y = axis(all.map((point) => point.y));
  const left = (value: number): number => margin.left + x.share(value) * (width - margin.left - margin.right);
  const top = (value: number): number =>
    height - margin.bottom - y.share(value) * (height - margin.top - margin.bottom);
  const right = width - margin.right;
  const bottom = height - margin.bottom;
  const grid = [
    ...x.ticks.map((tick) => line(left(tick), margin.top, left(tick), bottom)),
    ...y.ticks.map((tick) => line(margin.left, top(tick), right, top(tick))),
    ...x.ticks.map((tick) => text(left(tick), bottom + 18, shown(tick), "middle")),
    ...y.ticks.map((tick) => text(margin.left - 8, top(tick) + 4, shown(tick), "end")),
  ];
  const drawn = series.flatMap(({ name, points }, i) => {
    const colour = colours[i % colours.length] ?? "#000";
    const legend = margin.top + 12 + i * 20;
    return [
      ...points.map((point) => dot(left(point.x), top(point.y), colour)),
      dot(right + 18, legend - 4, colour),
      text(right + 28, legend, name, "start"),
    ];
  });
  const font = 'font-family="sans-serif" font-size="12"';
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ${font}>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(margin.left, 26, title, "start", 15),
    ...grid,
    ...drawn,
    text((margin.left + right) / 2, height - 14, xName, "middle"),
    `<g transform="translate(18 ${(margin.top + bottom) / 2}) rotate(-90)">${text(0, 0, yName, "middle")}</g>`,
    "</svg>",
    "",
  ].join("\n");
}

/** Whole decades around the values. */
function axis(values: readonly number[]) {
  const logs = values.map((value) => Math.log10(Math.max(1, value)));
  const low = Math.floor(Math.min(...logs));
  const high = Math.max(low + 1, Math.ceil(Math.max(...logs)));
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return { ticks, share: (value: number) => (Math.log10(Math.max(1, value)) - low) / (high - low) };
}

function shown(value: number): string {
  return value.toLocaleString("en-US");
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${at(x1)}" y1="${at(y1)}" x2="${at(x2)}" y2="${at(y2)}" stroke="#ddd"/>`;
}

function dot(x: number, y: number, colour: string): string {
  return `<circle cx="${at(x)}" cy="${at(y)}" r="4" fill="${colour}" fill-opacity="0.7"/>`;
}

function text(x: number, y: number, content: string, anchor: string, size = 12): string {
  return `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}" font-size="${size}">${escaped(content)}</text>`;
}

function at(value: number): string {
  return value.toFixed(1);
}
