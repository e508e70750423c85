/**
 * The front end: takes the driver's requests from a loopback socket, decodes them strictly, runs them, answers in
 * any order. A connection that breaks the protocol is closed; requests beyond the bound are refused.
 */

import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { decodeStrict, NanoError, toErrorData } from "../../src/index.ts";
import { type AnswerFrame, encodeFrame, FrameReader, protocolLimits } from "../protocol.ts";

/** Runs one request. Errors become the answer's code and text. */
export type Serve = (backend: string, operation: string, message: unknown) => Promise<unknown>;

export interface FrontEnd {
  readonly port: number;
  close(): Promise<void>;
}

const strictLimits = {
  bytesMax: protocolLimits.frameBytesMax,
  depthMax: 6,
  countMax: 20_000,
  stringBytesMax: 1_024,
} as const;

export async function startFrontEnd(serve: Serve): Promise<FrontEnd> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    new Connection(socket, serve);
  });
  await listening(server);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

function listening(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve());
  });
}

class Connection {
  readonly #socket: Socket;
  readonly #serve: Serve;
  readonly #frames = new FrameReader();
  #inFlight = 0;
  #corked = false;

  constructor(socket: Socket, serve: Serve) {
    this.#socket = socket;
    this.#serve = serve;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    // The end of the peer shows as `close`; nothing else follows from it.
    socket.on("error", () => socket.destroy());
  }

  #take(chunk: Buffer): void {
    try {
      for (const body of this.#frames.push(chunk)) this.#request(decodeStrict(body, strictLimits));
    } catch {
      this.#socket.destroy();
    }
  }

  #request(frame: unknown): void {
    if (!Array.isArray(frame) || frame.length !== 4) throw new NanoError("wire", "a request has four parts");
    const [id, backend, operation, message] = frame as [unknown, unknown, unknown, unknown];
    if (typeof id !== "number" || typeof backend !== "string" || typeof operation !== "string") {
      throw new NanoError("wire", "a request is [id, backend, operation, message]");
    }
    if (this.#inFlight >= protocolLimits.requestsInFlightMax) {
      this.#answer([
        id,
        1,
        "overloaded",
        `more than ${protocolLimits.requestsInFlightMax} requests in flight`,
      ]);
      return;
    }
    this.#inFlight++;
    this.#serve(backend, operation, message).then(
      (result) => this.#done([id, 0, result ?? null]),
      (error) => {
        const { code, message: text } = toErrorData(error);
        this.#done([id, 1, code, text]);
      },
    );
  }

  #done(answer: AnswerFrame): void {
    this.#inFlight--;
    this.#answer(answer);
  }

  /** Answers of one turn leave in one write. */
  #answer(answer: AnswerFrame): void {
    if (this.#socket.destroyed) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      setImmediate(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(encodeFrame(answer));
  }
}
