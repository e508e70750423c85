import type { Store } from "../../actors/stores/contract.ts";

/** A store whose methods are these, and else those of another one; one that is given as undefined is left out. */
export function delegating(
  store: Store,
  overrides: { readonly [Name in keyof Store]?: Store[Name] | undefined },
): Store {
  return new Proxy(store, {
    get: (target, name: keyof Store) => {
      const value = name in overrides ? overrides[name] : target[name];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
