/** What the command shows while it runs: a line that changes on a terminal, a line now and then elsewhere. */

import { SingleBar } from "cli-progress";
import type { DriverProgress, SystemProgress } from "./messages.ts";

const plainEveryMs = 2_000;

export interface ProgressView {
  system(progress: SystemProgress): void;
  driver(progress: DriverProgress): void;
  note(text: string): void;
  close(): void;
}

/** `quiet` shows nothing: for `--json`. */
export function startProgress(options: { readonly seconds: number; readonly quiet: boolean }): ProgressView {
  if (options.quiet) return { system: nothing, driver: nothing, note: nothing, close: nothing };
  return process.stdout.isTTY ? new BarView(options.seconds) : new PlainView();
}

function nothing(): void {}

class Latest {
  system: SystemProgress | undefined;
  driver: DriverProgress | undefined;

  text(): string {
    const { system, driver } = this;
    const phase = system?.phase ?? "starting";
    const detail = system?.phase === "failing_over" ? ` ${system.swappedPrefixes} moves` : "";
    const counts = [
      `${driver?.writesPerSecond ?? 0} writes/s`,
      `${driver?.readsPerSecond ?? 0} reads/s`,
      `dirty ${system?.dirty ?? 0}`,
      `lag ${system?.lagMs ?? 0} ms`,
      `in flight ${driver?.inFlight ?? 0}`,
      `perror ${system?.perror ?? 0}`,
      `audited ${driver?.auditedKeys ?? 0}`,
      `unaccounted ${driver?.unaccounted ?? 0}`,
      `lost ${driver?.lost ?? 0}`,
    ];
    return `${phase}${detail} | ${counts.join(" | ")}`;
  }
}

class BarView implements ProgressView {
  readonly #bar: SingleBar;
  readonly #latest = new Latest();
  readonly #startedMs = performance.now();
  readonly #seconds: number;

  constructor(seconds: number) {
    this.#seconds = seconds;
    this.#bar = new SingleBar({ format: "{bar} {value}/{total} s | {text}", hideCursor: true, barsize: 12 });
    this.#bar.start(seconds, 0, { text: "starting" });
  }

  system(progress: SystemProgress): void {
    this.#latest.system = progress;
    this.#draw();
  }

  driver(progress: DriverProgress): void {
    this.#latest.driver = progress;
    this.#draw();
  }

  note(text: string): void {
    process.stdout.write(`\n${text}\n`);
  }

  close(): void {
    this.#bar.stop();
  }

  #draw(): void {
    const elapsed = Math.round((performance.now() - this.#startedMs) / 1_000);
    this.#bar.update(Math.min(elapsed, this.#seconds), { text: this.#latest.text() });
  }
}

class PlainView implements ProgressView {
  readonly #latest = new Latest();
  readonly #startedMs = performance.now();
  #shownMs = 0;

  system(progress: SystemProgress): void {
    this.#latest.system = progress;
  }

  driver(progress: DriverProgress): void {
    this.#latest.driver = progress;
    const now = performance.now();
    if (now - this.#shownMs < plainEveryMs) return;
    this.#shownMs = now;
    this.note(this.#latest.text());
  }

  note(text: string): void {
    const seconds = ((performance.now() - this.#startedMs) / 1_000).toFixed(1).padStart(6);
    process.stdout.write(`${seconds} s  ${text}\n`);
  }

  close(): void {}
}
