import { defineConfig } from "vitest/config";

/** Tests run compiled: a worker thread on Node 20 cannot load TypeScript. */
export default defineConfig({
  test: {
    include: ["dist/test/**/*.test.js"],
    exclude: [],
    pool: "forks",
    maxWorkers: 2,
    // For machines that do other work as well: no test needs a third of it on two idle cores.
    testTimeout: 60_000,
  },
});
