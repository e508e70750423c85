/**
 * Bounds of the wire and of the threads, each with its reason. The actor core's own stand in core/limits.ts.
 * Times are in ms, sizes in bytes.
 */

export const KiB = 1_024;
export const MiB = 1_024 * KiB;

/** How far two threads of one process may run apart, per channel and direction. */
export const channelLimits = {
  /** Envelopes packed into one batch: 128 to 512 are equal, 64 costs 15 % one way (measured). */
  batchMessagesMax: 256,
  /** The same while no batch is on its way: with 100 calls in flight a fifth more pass than with 256 (measured). */
  batchMessagesMin: 32,
  /**
   * The ring of one direction, a power of two; a batch larger than half of it goes through the port. 64 KiB cost half
   * of the rate one way, 512 gain little (measured). A thread that speaks with all of 64 others writes to 16 MiB.
   */
  ringBytes: 256 * KiB,
  /** Bytes on the way: a receiver that stands still holds at most this for each sender, and one batch. */
  windowBytes: 4 * MiB,
  /**
   * Messages that are taken from a ring before the processes have their turn. All that is there puts both threads in
   * lock-step, one waiting for the other: with 256, half as many calls passed with 100 in flight (measured).
   */
  takeMessagesMax: 32,
  /** After so many, more are likely to come while they are worked on: the reader looks once more before it sleeps. */
  lookAgainMessages: 8,
  /** Messages waiting and on the way at which `pressure` is 1 and the sender refuses new requests. */
  queueMessagesMax: 50_000,
  /** The same in packed bytes: eight windows. */
  queueBytesMax: 32 * MiB,
  /** Replies and signals still pass above `pressure` 1; at this pressure nothing does. */
  pressureMax: 4,
} as const;

/** How the reader of a dry ring finds out whether to look again or to sleep (platform/patience.ts). */
export const spinLimits = {
  /** It looks no longer than this: about twice what a wake-up costs, so waiting in vain at most triples the wait. */
  lookMs: 0.05,
  /** A wait counts at most this: whether it was one millisecond or a second, looking had not paid. */
  waitMaxMs: 0.2,
  /** By this share a median moves with each wait: seven waits double or halve it. */
  step: 0.1,
  /** Looking takes a core: it must be this much faster than sleeping. */
  gain: 0.75,
  /** Dry times of a trial of the other way: the kernel needs some of them to move a thread to another core. */
  trialDryTimes: 48,
  /** Dry times between two trials, doubled by each that changes nothing: at last they are 0.3 % of all. */
  trialEveryMin: 256,
  trialEveryMax: 16_384,
} as const;

/** The life of worker threads. */
export const threadLimits = {
  /** A full mesh of 65 threads has 2,080 channels; past the number of cores threads gain nothing anyway. */
  countMax: 64,
  /** From a thread's start until its host is ready; its set-up may open and recover a large store. */
  startTimeoutMs: 60_000,
  /** From the request to stop until the thread has closed what it had open. */
  stopTimeoutMs: 30_000,
  /** From then until it has exited: only ports are left to close. */
  leaveTimeoutMs: 5_000,
  /** A thread that lived this long has earned an immediate replacement. */
  healthyMs: 10_000,
  /** Delay before the second replacement in a row; it doubles with each one. */
  replaceDelayMs: 100,
  replaceDelayMaxMs: 5_000,
  /** Up to this share of a delay is taken off by chance: threads that died together must not all come back at once. */
  replaceJitter: 0.5,
  /** Lives in a row that ended before `healthyMs`; then the thread stays down and the system is told. */
  replacementsMax: 8,
} as const;

/** The watch over threads that do not turn, and the board that it reads. */
export const watchLimits = {
  /** By then whoever called a process there has had a time-out (coreLimits.callTimeoutMs). */
  stuckMs: 5_000,
  /** What timers take. */
  stuckMsMax: 2 ** 31 - 1,
  /** Looks within `stuckMs`: a report is late by at most one, and a sleep of the machine is no stuck thread. */
  looks: 4,
  /** Between two looks, whatever `stuckMs` is: a thread that only waits wakes up for each. */
  lookMsMin: 10,
  /** A thread in native code takes no request for its stack; one in JavaScript took 60 to 130 ms (measured). */
  stackTimeoutMs: 1_000,
  /** V8 samples once in 1 ms unless it is told otherwise: enough to see where a thread spends its time. */
  stackSampleMs: 30,
  /** A thread that collected garbage, or had no processor, for all of that time is sampled again. */
  stackTries: 3,
  /** Frames of a stack in a report: the handler is among the innermost unless it recurses. */
  stackFrames: 16,
  /** From the close of a port until its thread is down and nobody knows why: the pool says it when it is joined. */
  endWordMs: 1_000,
  endWordPollMs: 2,
  /** Of the word that a dying thread leaves. */
  endWordBytes: 240,
  /** Handlers that a thread shows by name: a large program has some hundred. */
  boardNames: 512,
  /** Definition, kind and method; what is longer is cut. */
  boardNameBytes: 64,
  /** Asynchronous handlers under way that are shown at once. */
  boardPending: 16,
} as const;

/** What the internal codec remembers. */
export const codecLimits = {
  /** Nesting of a message. The reader's stack may be smaller than the writer's: 1 MB against 4 MB. */
  depthMax: 1_000,
  /** A scratch buffer that grew beyond this for a large message is let go after it. */
  scratchBytesMax: 1 * MiB,
  /** An object with more keys is a dictionary: its keys are data, and no shape is remembered. */
  shapeKeysMax: 32,
  /** Keys in the tree of shapes of a writer: hundreds of shapes; then it begins anew. */
  shapeNodesMax: 8_192,
  /** Shapes that a reader remembers between batches; then it begins anew. */
  shapesKnownMax: 1_024,
} as const;

/** What is accepted from outside the process. */
export const strictLimits = {
  /** A profile picture is 64 KiB at most; a request carries a batch of rows. */
  bytesMax: 16 * MiB,
  /** Protocol messages nest less than ten deep. */
  depthMax: 32,
  /** Values in one message, map keys included: bounds the heap that a small message can make us spend. */
  countMax: 262_144,
  stringBytesMax: 1 * MiB,
} as const;

/** Crash capsules: what a recorded process may hold in memory, and what they may take of the disk. */
export const capsuleLimits = {
  /** Messages that a capsule keeps at most: each is one entry in a list that is read as a whole. */
  messagesMax: 100_000,
  /** Of the messages and answers between two pictures of the state: then the next picture is taken early. */
  tapeBytesMax: 1 * MiB,
  /** A state with more has no picture: at every picture it would be copied as a whole, between two messages. */
  stateBytesMax: 4 * MiB,
  /** Two tapes, three pictures of the state, and what surrounds them. */
  fileBytesMax: 16 * MiB,
  /** Files of a folder, the oldest are removed: a process that crashes all night must not fill the disk. */
  filesMax: 50,
  /** Capsules on their way to the disk; those of a storm of crashes are alike. */
  writingMax: 4,
  /** Nesting of a value: the image of a level may take two of the file. */
  depthMax: 200,
  /** Values in a file: as many as its bytes can hold. */
  countMax: 16 * MiB,
} as const;
