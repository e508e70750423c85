/** What a host is made of, and how it is asked to start a process. */

import type { Clock } from "../seams/clock.ts";
import type { Cluster } from "../seams/cluster.ts";
import type { Executor } from "../seams/executor.ts";
import type { Logger } from "../seams/log.ts";
import type { Random } from "../seams/random.ts";
import type { StatusBoard } from "../seams/status_board.ts";
import type { Transport } from "../seams/transport.ts";
import type { Capsules, CapsuleWish } from "./capsules.ts";
import type { ClusterMessage } from "./cluster_calls.ts";
import type { Envelope } from "./envelope.ts";
import type { Definition, DefinitionName } from "./gen_server.ts";
import type { Former } from "./hand_over.ts";
import { coreLimits } from "./limits.ts";
import type { Pid } from "./pid.ts";
import type { MailboxLimits, SpawnOptions } from "./self.ts";

export interface HostOptions {
  readonly node: string;
  readonly transport: Transport<Envelope>;
  readonly clock: Clock;
  readonly random: Random;
  readonly executor: Executor;
  readonly log: Logger;
  /** What the thread's set-up opened, by name. */
  readonly resources: Readonly<Record<string, unknown>>;
  readonly loadDefinition: (name: DefinitionName) => Promise<Definition>;
  /** Where other threads see what this one does. Default: nowhere. */
  readonly board?: StatusBoard;
  /** The way to named processes of other nodes. Default: there are none. */
  readonly cluster?: Cluster<ClusterMessage>;
  /** Crash capsules. Default: there are none. */
  readonly capsules?: Capsules;
  /** Checks messages between processes of this thread, and freezes them: wire_check.ts. Default: false. */
  readonly development?: boolean;
  /** The other threads that are up. */
  readonly peers: readonly { readonly thread: number; readonly incarnation: number }[];
}

/** Why a message reached nobody; `unsendable`: it can't be packed for another thread. */
export type DeadLetterReason = "noproc" | "refused" | "discarded" | "expired" | "thread_down" | "unsendable";

export function noDeadLetters(): Record<DeadLetterReason, number> {
  return { noproc: 0, refused: 0, discarded: 0, expired: 0, thread_down: 0, unsendable: 0 };
}

/** How a host starts a process on itself. */
export interface LocalSpawn {
  readonly name: string;
  readonly link: Pid | undefined;
  readonly mailbox: Required<MailboxLimits>;
  readonly initTimeoutMs: number;
  readonly capsule?: CapsuleWish;
  readonly former?: Former;
}

/** The options of a start with what they leave out; `starter` is the process that starts it. */
export function localSpawn(options: SpawnOptions, starter: Pid | undefined): LocalSpawn {
  const { name = "", link, mailbox, initTimeoutMs = coreLimits.initTimeoutMs, capsule, former } = options;
  return {
    name,
    link: link === true ? starter : undefined,
    mailbox: {
      max: mailbox?.max ?? coreLimits.mailboxMax,
      bytesMax: mailbox?.bytesMax ?? Number.POSITIVE_INFINITY,
      whenFull: mailbox?.whenFull ?? "refuse",
    },
    initTimeoutMs,
    ...(capsule === undefined ? {} : { capsule }),
    ...(former === undefined ? {} : { former }),
  };
}
