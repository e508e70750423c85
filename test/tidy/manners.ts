/** What a source must look like: its opening comment, its lengths, its names, the error codes it uses. */

import ts from "typescript";
import type { Source } from "./project.ts";

const docLinesMax = 15;
const fileLinesMax = 500;
/** The formatter breaks code at 110 columns where it can; comments and texts are broken by hand. */
const lineColumnsMax = 120;

/** What is wrong with the comment that opens a file; undefined if nothing is. */
export function docFault({ path, text }: Source): string | undefined {
  const doc = openingDoc(text);
  if (doc === undefined) return `${path} does not open with a doc comment`;
  const lines = doc.split("\n").length;
  if (lines > docLinesMax) return `${path} opens with ${lines} lines of comment`;
  return /\w+\W+\w+\W+\w+/.test(doc) ? undefined : `${path} opens with a comment that says nothing`;
}

/** What the comment of a db_* actor leaves out: its state, its messages, what is always true. */
export function actorDocFaults({ path, text }: Source): string[] {
  const doc = openingDoc(text) ?? "";
  const due = { State: /\bState: /, Messages: /\bMessages\b/, "Always true": /\bAlways true: / };
  return Object.entries(due)
    .filter(([, pattern]) => !pattern.test(doc))
    .map(([part]) => `${path} does not say: ${part}`);
}

function openingDoc(text: string): string | undefined {
  const shebang = ts.getShebang(text) ?? "";
  return /^\s*(\/\*\*[\s\S]*?\*\/)/.exec(text.slice(shebang.length))?.[1];
}

export function lengthFaults({ path, text }: Source): string[] {
  const lines = text.replace(/\n$/, "").split("\n");
  const long = lines.flatMap((line, index) => {
    const columns = Array.from(line).length;
    return columns > lineColumnsMax ? [`${path}:${index + 1} has ${columns} columns`] : [];
  });
  return lines.length > fileLinesMax ? [`${path} has ${lines.length} lines`, ...long] : long;
}

const emptyWords = /^(utils?|helpers?|common|misc|managers?)$/i;

/** Files, folders and declared names that could hold anything. */
export function emptyNameFaults({ path, text }: Source): string[] {
  const ofPath = wordsOf(path).some((word) => emptyWords.test(word)) ? [path] : [];
  const names = collect({ path, text }, (node) =>
    ts.isIdentifier(node) && isDeclaredName(node) ? [node.text] : [],
  );
  // A name is its last word: `lastCommonKey` is a key, `keyManager` is anything.
  const empty = names.filter((name) => emptyWords.test(wordsOf(name).at(-1) ?? ""));
  return [...ofPath, ...empty.map((name) => `${path}: ${name}`)];
}

function isDeclaredName(node: ts.Identifier): boolean {
  const { parent } = node;
  return "name" in parent && parent.name === node && !ts.isPropertyAccessExpression(parent);
}

function wordsOf(name: string): string[] {
  return name.replace(/([a-z])([A-Z])/g, "$1_$2").split(/[^A-Za-z]+/);
}

/** The codes in `new NanoError("code", ...)`. */
export function thrownCodes(source: Source): string[] {
  return collect(source, (node, file) =>
    ts.isNewExpression(node) && node.expression.getText(file) === "NanoError"
      ? literals(node.arguments?.[0])
      : [],
  );
}

/** The codes of errors that are written down as data: `{ code: "code", message }`. */
export function answeredCodes(source: Source): string[] {
  return collect(source, (node, file) => {
    if (!ts.isObjectLiteralExpression(node) || propertyOf(node, "message", file) === undefined) return [];
    const code = propertyOf(node, "code", file);
    return code !== undefined && ts.isPropertyAssignment(code) ? literals(code.initializer) : [];
  });
}

function collect({ path, text }: Source, from: (node: ts.Node, file: ts.SourceFile) => string[]): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    found.push(...from(node, file));
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function propertyOf(
  node: ts.ObjectLiteralExpression,
  name: string,
  file: ts.SourceFile,
): ts.ObjectLiteralElementLike | undefined {
  return node.properties.find((property) => property.name?.getText(file) === name);
}

/** The texts that an expression may be; one that is worked out elsewhere is checked there. */
function literals(node: ts.Node | undefined): string[] {
  if (node === undefined) return [];
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isParenthesizedExpression(node)) return literals(node.expression);
  return ts.isConditionalExpression(node) ? [...literals(node.whenTrue), ...literals(node.whenFalse)] : [];
}

/** The texts of the union types that these aliases name. */
export function unionMembers({ path, text }: Source, ...aliases: readonly string[]): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  return file.statements
    .filter(ts.isTypeAliasDeclaration)
    .filter(({ name }) => aliases.includes(name.text))
    .flatMap(({ type }) => (ts.isUnionTypeNode(type) ? type.types : [type]))
    .flatMap((type) => (ts.isLiteralTypeNode(type) ? literals(type.literal) : []));
}
