/**
 * Every small change of a source file that a good test must notice: each condition negated, forced true and forced
 * false; each comparison flipped; one operand of `&&`, `||` and `??` alone; each `await` left out, with the rejection
 * that nobody hears of then swallowed. Pure.
 */

import { createHash } from "node:crypto";
import ts from "typescript";

export interface Mutation {
  /** Of the function around it and the change: a result is good for as long as neither is another one. */
  readonly id: string;
  readonly file: string;
  readonly line: number;
  /** The function around it; "" if it has no name. */
  readonly within: string;
  /** The first line that it changes, trimmed: it outlives changes elsewhere in the file. */
  readonly code: string;
  readonly from: string;
  readonly to: string;
  readonly start: number;
  readonly end: number;
}

type Change = readonly [node: ts.Node, to: string];

const flipped: ReadonlyMap<ts.SyntaxKind, readonly string[]> = new Map([
  [ts.SyntaxKind.LessThanToken, ["<=", ">="]],
  [ts.SyntaxKind.LessThanEqualsToken, ["<", ">"]],
  [ts.SyntaxKind.GreaterThanToken, [">=", "<="]],
  [ts.SyntaxKind.GreaterThanEqualsToken, [">", "<"]],
  [ts.SyntaxKind.EqualsEqualsEqualsToken, ["!=="]],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken, ["==="]],
]);

const joining: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
]);

export function mutationsOf(file: string, text: string): Mutation[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found = new Map<string, Mutation>();
  const add = ([node, to]: Change): void => {
    const [start, end] = [node.getStart(source), node.getEnd()];
    const from = text.slice(start, end);
    const { line } = source.getLineAndCharacterOfPosition(start);
    const code = (text.split("\n")[line] ?? "").trim();
    const around = surroundings(node);
    const [from0, to0] = [start, end].map((place) => place - around.getStart(source));
    const id = createHash("sha256")
      .update([file, around.getText(source), from0, to0, to].join("\n"))
      .digest("hex")
      .slice(0, 16);
    // Two ways to one text are one mutation.
    const changed = `${text.slice(0, start)}${to}${text.slice(end)}`.replaceAll(/[\s()]/g, "");
    const within = (around as ts.NamedDeclaration).name?.getText(source) ?? "";
    const mutation = { id, file, line: line + 1, within, code, from, to, start, end };
    if (!found.has(changed)) found.set(changed, mutation);
  };
  const visit = (node: ts.Node): void => {
    for (const change of changesOf(node, source)) add(change);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return [...found.values()];
}

/** The function around it, as a whole and with its name, or the file's statement. */
function surroundings(node: ts.Node): ts.Node {
  let around: ts.Node | undefined;
  let statement = node;
  for (let each = node; !ts.isSourceFile(each); each = each.parent) {
    if (ts.isFunctionLike(each)) around = ts.isPropertyAssignment(each.parent) ? each.parent : each;
    statement = each;
  }
  return around ?? statement;
}

function changesOf(node: ts.Node, source: ts.SourceFile): Change[] {
  const condition = conditionOf(node);
  const changes: Change[] = condition === undefined ? [] : forced(condition, source);
  if (ts.isBinaryExpression(node)) changes.push(...operands(node, source));
  if (ts.isAwaitExpression(node)) changes.push([node, `swallowed(${node.expression.getText(source)})`]);
  return changes;
}

function conditionOf(node: ts.Node): ts.Expression | undefined {
  if (ts.isIfStatement(node) || ts.isWhileStatement(node) || ts.isDoStatement(node)) return node.expression;
  return ts.isConditionalExpression(node) || ts.isForStatement(node) ? node.condition : undefined;
}

function forced(condition: ts.Expression, source: ts.SourceFile): Change[] {
  return [`!(${condition.getText(source)})`, "true", "false"].map((to): Change => [condition, to]);
}

/** A comparison that is a whole condition is negated there already: only its bounds are left. */
function operands(node: ts.BinaryExpression, source: ts.SourceFile): Change[] {
  const { left, right, operatorToken } = node;
  const [l, r] = [left.getText(source), right.getText(source)];
  if (joining.has(operatorToken.kind)) return [l, r].map((to): Change => [node, `(${to})`]);
  const isWhole = conditionOf(node.parent) === node;
  const others = flipped.get(operatorToken.kind) ?? [];
  return (isWhole ? others.slice(0, others.length - 1) : others).map(
    (operator): Change => [node, `${l} ${operator} ${r}`],
  );
}

/** Compiled with all of them in it, of which the one at `globalThis.mutant`, or at MUTANT of the environment, is on. */
export function compiled(text: string, mutations: readonly Mutation[]): string {
  const { outputText } = ts.transpileModule(switched(text, 0, text.length, places(mutations)), {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  });
  return `${outputText}\n${choice}\n`;
}

/** One place of the text, and what may stand there instead. */
interface Place {
  readonly start: number;
  readonly end: number;
  readonly others: { readonly at: number; readonly to: string }[];
}

/** The outer before the inner, from the first to the last. */
function places(mutations: readonly Mutation[]): Place[] {
  const found = new Map<string, Place>();
  for (const [at, { start, end, to }] of mutations.entries()) {
    const place = found.get(`${start} ${end}`) ?? { start, end, others: [] };
    place.others.push({ at, to });
    found.set(`${start} ${end}`, place);
  }
  return [...found.values()].sort((a, b) => a.start - b.start || b.end - a.end);
}

/** Takes from `left` what lies before `end`. */
function switched(text: string, start: number, end: number, left: Place[]): string {
  let [result, written] = ["", start];
  for (let place = left[0]; place !== undefined && place.start < end; place = left[0]) {
    left.shift();
    const others = place.others.map(({ at, to }) => `isMutant(${at}) ? (${to}) : `).join("");
    result += `${text.slice(written, place.start)}(${others}(${switched(text, place.start, place.end, left)}))`;
    written = place.end;
  }
  return result + text.slice(written, end);
}

/** Each mutation that is passed is told: to `globalThis.reached` while there is one, and to the file REACHED. */
const choice = `import { appendFileSync } from "node:fs";
globalThis.mutant ??= Number(process.env.MUTANT ?? -1);
const reachedFile = process.env.REACHED;
const told = new Set();
function isMutant(at) {
  globalThis.reached?.add(at);
  if (reachedFile !== undefined && !told.has(at)) {
    told.add(at);
    appendFileSync(reachedFile, \`\${at}\\n\`);
  }
  return globalThis.mutant === at;
}
function swallowed(value) {
  if (typeof value?.then === "function") value.then(undefined, () => undefined);
  return value;
}`;
