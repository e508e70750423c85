/** Members of a group, with their role; a group's id begins with its creator's number. */

import { relationship } from "../kinds/relationship.ts";
import { defineBackend } from "./backend.ts";

export const groups = defineBackend({
  name: "groups",
  kind: relationship,
  keys: "opaque",
  valueBytesMax: 256,
});
