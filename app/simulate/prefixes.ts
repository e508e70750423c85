/** The prefixes that every play moves. */
export const prefixes = ["+49", "+33"] as const;
