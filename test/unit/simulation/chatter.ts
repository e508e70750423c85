/** Actors that do much at one instant, for tests of the order in which processes take their turns. */

import { genServer, type Self } from "../../../src/index.ts";

interface Noticed {
  readonly talkLasts: number;
  said: number;
  /** How much had been said when the late one was heard of. */
  lateAfter: number | undefined;
}

export const noticing = genServer(import.meta.url, "noticing", {
  init: ({ talkLasts }: { talkLasts: number }): Noticed => ({ talkLasts, said: 0, lateAfter: undefined }),
  call: {
    lateWasLast: ({ talkLasts, lateAfter }) => lateAfter === talkLasts,
  },
  cast: {
    said: (state) => void state.said++,
    late: (state) => {
      state.lateAfter = state.said;
    },
  },
});

export const late = genServer(import.meta.url, "late", {
  init: (_options: undefined, self): { readonly self: Self } => ({ self }),
  cast: {
    happened: ({ self }) => self.ref(noticing, "noticing").cast.late(),
    calm: ({ self }) => self.ref(restless, "restless").cast.stop(),
  },
});

export const chatter = genServer(import.meta.url, "chatter", {
  init: ({ other }: { other: string }, self): { readonly self: Self; readonly other: string } => ({
    self,
    other,
  }),
  cast: {
    say: ({ self, other }, left: number) => {
      if (left === 0) return;
      self.ref(noticing, "noticing").cast.said();
      self.ref(chatter, other).cast.say(left - 1);
    },
  },
});

/** Asks for turn after turn, all at one instant, until it is told to stop. */
export const restless = genServer(import.meta.url, "restless", {
  init: (_options: undefined, self): { readonly self: Self; stopped: boolean } => ({ self, stopped: false }),
  cast: {
    again: ({ self, stopped }) => {
      if (!stopped) self.ref(restless, "restless").cast.again();
    },
    stop: (state) => {
      state.stopped = true;
    },
  },
});
