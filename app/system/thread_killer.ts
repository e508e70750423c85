/** thread_killer: ends the thread it runs on, from inside, with everything that is in flight there. */

import { genServer } from "../../src/index.ts";

export const thread_killer = genServer(import.meta.url, "thread_killer", {
  init: (_options: undefined) => ({}),
  cast: {
    die: () => {
      process.exit(1);
    },
  },
});
