/** A flame graph as an SVG text: each function as wide as its share of the time, below whoever called it. */

import type { CallTree } from "./cpu_profiles.ts";
import { escaped } from "./svg.ts";

const width = 1_400;
const rowHeight = 16;
const top = 40;
/** Narrower ones are left out: nobody could read or point at them. */
const leastWidth = 0.7;
/** Of one letter, about. */
const letterWidth = 6.2;

export function flameGraph(title: string, root: CallTree, colourOf: (tree: CallTree) => string): string {
  const boxes: string[] = [];
  let depthMax = 0;
  const draw = (tree: CallTree, left: number, depth: number): void => {
    const wide = (tree.us / root.us) * width;
    if (wide < leastWidth) return;
    depthMax = Math.max(depthMax, depth);
    boxes.push(box(tree, { left, depth, wide, share: tree.us / root.us, colour: colourOf(tree) }));
    let at = left;
    for (const child of [...tree.children.values()].sort((a, b) => b.us - a.us)) {
      draw(child, at, depth + 1);
      at += (child.us / root.us) * width;
    }
  };
  draw(root, 0, 0);
  const font = 'font-family="sans-serif" font-size="11"';
  const height = top + (depthMax + 1) * rowHeight + 8;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ${font}>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="8" y="24" font-size="15">${escaped(title)}</text>`,
    ...boxes,
    "</svg>",
    "",
  ].join("\n");
}

function box(
  { name, place }: CallTree,
  {
    left,
    depth,
    wide,
    share,
    colour,
  }: { left: number; depth: number; wide: number; share: number; colour: string },
): string {
  const y = top + depth * rowHeight;
  const letters = Math.floor((wide - 4) / letterWidth);
  const label =
    letters < 3
      ? ""
      : `<text x="${(left + 2).toFixed(1)}" y="${y + 12}">${escaped(name.slice(0, letters))}</text>`;
  const told = escaped(`${name} ${place} ${(share * 100).toFixed(1)} %`);
  const shape = `x="${left.toFixed(1)}" y="${y}" width="${wide.toFixed(1)}" height="${rowHeight - 1}" fill="${colour}"`;
  return `<g><title>${told}</title><rect ${shape}/>${label}</g>`;
}
