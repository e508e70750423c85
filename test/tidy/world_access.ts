/**
 * Finds what reaches past the runtime to the world: time, chance, timers, Node. It asks TypeScript which names a
 * file declares itself, so a parameter called `process` is no find, and a comment or a text never is.
 */

import { isBuiltin } from "node:module";
import ts from "typescript";
import type { Source } from "./project.ts";

export interface Find {
  readonly path: string;
  readonly line: number;
  readonly what: string;
}

/** Globals that are never named, not even in a type. */
const forbiddenGlobals = new Set([
  "performance",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "clearTimeout",
  "clearInterval",
  "clearImmediate",
  "queueMicrotask",
  "process",
  "crypto",
  "fetch",
  "WebSocket",
  "EventSource",
  "MessageChannel",
  "BroadcastChannel",
  "Worker",
  "scheduler",
  "navigator",
  "Temporal",
  // What they show depends on when the garbage collector came by.
  "WeakRef",
  "FinalizationRegistry",
  "console",
  "require",
  "module",
  "globalThis",
  "global",
  "eval",
  "Function",
]);

/** `new Date(x)` only gives a number a shape: a message may carry one. Without `x` it reads the clock. */
const mayMakeDates = /^src\/wire\//;

/** Pure members of globals that have impure ones too. */
const impureMembers: Readonly<Record<string, readonly string[]>> = {
  Math: ["random"],
  AbortSignal: ["timeout"],
  Atomics: ["wait", "waitAsync", "notify"],
  // Without an argument its methods format the present moment.
  Intl: ["DateTimeFormat"],
};

export function findWorldAccess(sources: readonly Source[]): Find[] {
  const program = parse(sources);
  const checker = program.getTypeChecker();
  return sources.flatMap(({ path }) => {
    const file = program.getSourceFile(path);
    if (file === undefined) throw new Error(`${path} was not parsed`);
    return findIn(file, checker);
  });
}

/** A program of these sources alone: without libraries and imports, a name that resolves is the file's own. */
function parse(sources: readonly Source[]): ts.Program {
  const files = new Map(
    sources.map(({ path, text }) => [path, ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true)]),
  );
  const host: ts.CompilerHost = {
    getSourceFile: (path) => files.get(path),
    getDefaultLibFileName: () => "",
    writeFile: () => undefined,
    getCurrentDirectory: () => "",
    getCanonicalFileName: (path) => path,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => "\n",
    fileExists: (path) => files.has(path),
    readFile: () => undefined,
  };
  const options: ts.CompilerOptions = {
    noLib: true,
    noResolve: true,
    types: [],
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
  };
  return ts.createProgram([...files.keys()], options, host);
}

function findIn(file: ts.SourceFile, checker: ts.TypeChecker): Find[] {
  const finds: Find[] = [];
  const visit = (node: ts.Node): void => {
    const what = builtinOf(node) ?? declareOf(node) ?? globalUse(node, file, checker);
    if (what !== undefined) {
      const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
      finds.push({ path: file.fileName, line, what });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return finds;
}

function builtinOf(node: ts.Node): string | undefined {
  const specifier = specifierOf(node);
  return specifier !== undefined && isBuiltin(specifier) ? specifier : undefined;
}

/** `declare const process: Clock` would make a global look like the file's own. */
function declareOf(node: ts.Node): string | undefined {
  return node.kind === ts.SyntaxKind.DeclareKeyword ? "declare" : undefined;
}

function specifierOf(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return textOf(node.moduleSpecifier);
  if (ts.isExternalModuleReference(node)) return textOf(node.expression);
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return textOf(node.argument.literal);
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    return textOf(node.arguments[0]);
  }
  return undefined;
}

function textOf(node: ts.Node | undefined): string | undefined {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined;
}

function globalUse(node: ts.Node, file: ts.SourceFile, checker: ts.TypeChecker): string | undefined {
  if (!ts.isIdentifier(node) || isMemberName(node)) return undefined;
  const name = node.text;
  const impure = impureMembers[name];
  if (name !== "Date" && impure === undefined && !forbiddenGlobals.has(name)) return undefined;
  if (isDeclaredHere(node, file, checker)) return undefined;
  if (name === "Date") return isHarmlessDate(node, file) ? undefined : name;
  if (impure === undefined) return name;
  return isPureUse(node, impure) ? undefined : name;
}

/** The name of a property or of an import's original: not a use of a variable. */
function isMemberName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  if (ts.isQualifiedName(parent)) return parent.right === node;
  return (ts.isBindingElement(parent) || ts.isImportSpecifier(parent)) && parent.propertyName === node;
}

function isDeclaredHere(node: ts.Identifier, file: ts.SourceFile, checker: ts.TypeChecker): boolean {
  const symbol = ts.isShorthandPropertyAssignment(node.parent)
    ? checker.getShorthandAssignmentValueSymbol(node.parent)
    : checker.getSymbolAtLocation(node);
  return symbol?.declarations?.some((declaration) => declaration.getSourceFile() === file) ?? false;
}

function isHarmlessDate(node: ts.Identifier, file: ts.SourceFile): boolean {
  if (!mayMakeDates.test(file.fileName)) return false;
  const { parent } = node;
  if (ts.isTypeReferenceNode(parent)) return true;
  if (ts.isNewExpression(parent)) return parent.expression === node && (parent.arguments?.length ?? 0) > 0;
  return ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.InstanceOfKeyword;
}

/** `Math.max`, and `AbortSignal` as a type; all else, say `const { random } = Math`, might hide what is impure. */
function isPureUse(node: ts.Identifier, impure: readonly string[]): boolean {
  const { parent } = node;
  if (ts.isTypeReferenceNode(parent)) return true;
  return (
    ts.isPropertyAccessExpression(parent) && parent.expression === node && !impure.includes(parent.name.text)
  );
}
