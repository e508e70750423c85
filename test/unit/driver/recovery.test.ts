import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { DriverEvent, WriteIntent } from "../../../app/driver/events.ts";
import { Journal } from "../../../app/driver/journal.ts";
import { Model } from "../../../app/driver/model.ts";
import { Population } from "../../../app/driver/population.ts";

const users = 120;
const seed = 21;

/** Everything that the model says of every row. */
function whole(model: Model): unknown {
  const { population } = model;
  const rows = Array.from({ length: population.rows }, (_, row) => {
    const lane = model.laneOf(population.unitOf(row), row);
    return [model.acknowledged(row), model.possible(row, lane), model.holder(row), model.isBusy(lane)];
  });
  const keys = population.users.map((_, user) => [
    model.possibleTakes(user),
    model.keyBounds(population.unit(user, "public_keys")),
    population.uploaded(user),
  ]);
  return { rows, keys, writes: model.acknowledgedWrites, next: model.nextOperation() };
}

/** What may happen next, drawn by one number: a new intent on a free place, or the end of one in flight. */
class Life {
  readonly model = new Model(new Population(seed, users));
  readonly #open: WriteIntent[] = [];
  readonly #lost: number[] = [];

  next(draw: number): DriverEvent | undefined {
    const kind = draw % 16;
    const place = Math.floor(draw / 16);
    if (kind === 0) return { type: "incarnation" };
    if (kind === 1) return { type: "tick", operation: this.model.nextOperation(), nowMs: place };
    if (kind === 2) return this.#restart(place);
    return kind < 9 ? this.#begin(kind, place) : this.#end(kind, place);
  }

  #restart(settledAtMs: number): DriverEvent {
    this.#open.length = 0;
    return { type: "restart", settledAtMs };
  }

  #begin(kind: number, place: number): DriverEvent | undefined {
    const intent = this.#intent(kind, place % 40);
    const lane = "row" in intent ? intent.row : this.model.population.unit(intent.user, "public_keys").first;
    if (this.model.isBusy(lane)) return undefined;
    this.#open.push(intent);
    return intent;
  }

  #intent(kind: number, place: number): WriteIntent {
    const operation = this.model.nextOperation();
    const user = place % 3;
    if (kind < 6) {
      const row = this.model.population.unit(user, "blocklist").first;
      const other = this.model.population.unit(place, "device_platform").first;
      return { type: kind === 3 ? "remove" : "put", operation, row: kind === 5 ? row : other };
    }
    if (kind === 6) return { type: "upload", operation, user, rows: [this.model.population.rows] };
    return {
      type: "take",
      operation,
      user,
      request: kind === 8 ? (this.#lost.pop() ?? operation) : operation,
    };
  }

  #end(kind: number, place: number): DriverEvent | undefined {
    const [intent] = this.#open.splice(place % Math.max(1, this.#open.length), 1);
    if (intent === undefined) return undefined;
    const { operation } = intent;
    if (kind < 11) return { type: "refused", operation };
    if (kind < 13) {
      if (intent.type === "take") this.#lost.push(intent.request);
      return { type: "unknown", operation, settledAtMs: place };
    }
    if (intent.type !== "take") return { type: "acknowledged", operation };
    const unit = this.model.population.unit(intent.user, "public_keys");
    return { type: "taken", operation, row: unit.first + (place % unit.count), upload: 0 };
  }
}

it("a recovered model says of every row what the model said before", () => {
  const directory = mkdtempSync(join(tmpdir(), "nanoactor-recovery-"));
  const path = join(directory, "journal");
  const header = Buffer.from("recovery");
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 20, maxLength: 200 }), (draws) => {
      const life = new Life();
      const journal = Journal.create(path, header);
      for (const draw of draws) {
        const event = life.next(draw);
        if (event === undefined) continue;
        journal.append(event);
        journal.flush();
        life.model.apply(event);
      }
      journal.close();
      const recovered = new Model(new Population(seed, users));
      Journal.recover(path, header, (event) => recovered.apply(event)).close();
      expect(whole(recovered)).toEqual(whole(life.model));
    }),
    { numRuns: 40 },
  );
  rmSync(directory, { recursive: true });
});
