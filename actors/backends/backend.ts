/** What a backend is: one declaration. A sixth one is one file like its neighbours, added to index.ts. */

import { NanoError } from "../../src/index.ts";
import type { BackendLimits, Kind } from "../kinds/kind.ts";

export interface Backend<K extends Kind = Kind> extends BackendLimits {
  readonly kind: K;
}

const nameFormat = /^[a-z][a-z0-9_]{0,63}$/;

/** Errors: `config` naming the field. */
export function defineBackend<K extends Kind>(backend: Backend<K>): Backend<K> {
  if (!nameFormat.test(backend.name)) {
    const cure = "use lower-case letters, digits and _, beginning with a letter";
    throw new NanoError("config", `backend name ${JSON.stringify(backend.name)}: ${cure}`, {
      field: "name",
      cure,
    });
  }
  if (!(backend.valueBytesMax > 0 && backend.valueBytesMax <= largestValue)) {
    const cure = `give 1 to ${largestValue} bytes`;
    throw new NanoError("config", `${backend.name}: valueBytesMax: ${cure}`, {
      field: "valueBytesMax",
      cure,
    });
  }
  return Object.freeze({ ...backend });
}

/** What every store takes in one row. */
const largestValue = 512 * 1024;
