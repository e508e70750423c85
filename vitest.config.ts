import { defineConfig } from "vitest/config";

/** Tests run compiled: a worker thread on Node 20 cannot load TypeScript. */
export default defineConfig({
  test: {
    include: ["dist/test/**/*.test.js"],
    exclude: [],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 20_000,
  },
});
