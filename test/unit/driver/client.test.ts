import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Packr } from "msgpackr";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Client, type Outcome } from "../../../app/driver/client.ts";
import { encodeFrame, FrameReader } from "../../../app/protocol.ts";

const codec = new Packr({ useRecords: false });

let server: Server;
let client: Client;
let ups: boolean[];
let batches: number;
let sockets: Socket[];

beforeEach(async () => {
  [ups, batches, sockets] = [[], 0, []];
  server = createServer((socket) => sockets.push(socket.on("error", () => undefined)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  client = new Client({ connected: (anew) => ups.push(anew), settled: () => batches++ });
});

afterEach(() => {
  client.close();
  for (const socket of sockets) socket.destroy();
  server.close();
});

async function connected(): Promise<Socket> {
  const before = sockets.length;
  client.connect((server.address() as AddressInfo).port);
  return reached(before);
}

/** The server's end of the next connection, once the client knows of it. */
async function reached(before: number): Promise<Socket> {
  const ends = ups.length;
  while (sockets.length === before || ups.length === ends)
    await new Promise((resolve) => setImmediate(resolve));
  const socket = sockets.at(-1);
  if (socket === undefined) throw new Error("no socket");
  return socket;
}

function ask(operation: string): Promise<Outcome> {
  const outcome = new Promise<Outcome>((resolve) => {
    client.request("backend", operation, { key: "k" }, resolve);
  });
  return outcome;
}

async function requests(socket: Socket): Promise<[number, string, string, unknown][]> {
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return new FrameReader().push(chunk).map((body) => codec.unpack(body) as [number, string, string, unknown]);
}

it("sends what was buffered in one piece at a flush, and matches answers in any order", async () => {
  const socket = await connected();
  const outcomes = ["first", "second", "third"].map(ask);
  expect(client.inFlight).toBe(3);
  client.flush();
  const asked = await requests(socket);
  expect(asked.map(([, backend, operation, message]) => [backend, operation, message])).toEqual(
    ["first", "second", "third"].map((operation) => ["backend", operation, { key: "k" }]),
  );
  const [first, second, third] = asked.map(([id]) => id);
  socket.write(
    Buffer.concat([
      encodeFrame([third ?? 0, 1, "blocked", "wait"]),
      encodeFrame([first ?? 0, 0, 7]),
      encodeFrame([second ?? 0, 1, "timeout", "late"]),
    ]),
  );
  expect(await Promise.all(outcomes)).toEqual([
    { type: "done", result: 7 },
    { type: "unknown", code: "timeout" },
    { type: "refused", code: "blocked" },
  ]);
  expect([client.inFlight, batches]).toEqual([0, 1]);
});

it("ends what is in flight as unknown when the connection is lost, and connects again", async () => {
  const socket = await connected();
  const outcome = ask("put");
  client.flush();
  await requests(socket);
  const before = sockets.length;
  socket.destroy();
  expect(await outcome).toEqual({ type: "unknown", code: "disconnected" });
  expect(client.connected).toBe(false);
  await reached(before);
  expect(client.connected).toBe(true);
  expect(ups).toEqual([false, false]);
});

it("says when another process serves", async () => {
  await connected();
  await connected();
  expect(ups).toEqual([false, true]);
});

it("ignores answers that nobody waits for, and gives a connection up that breaks the protocol", async () => {
  const socket = await connected();
  socket.write(encodeFrame([99, 0, null]));
  const outcome = ask("put");
  const before = sockets.length;
  socket.write(Buffer.from([255, 255, 255, 255]));
  expect(await outcome).toEqual({ type: "unknown", code: "disconnected" });
  await reached(before);
});
