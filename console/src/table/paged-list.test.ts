import { expect, it } from "vitest";
import { PagedList, type Page } from "./paged-list";

interface Row {
  id: string;
  n: number;
}

/** A server with a list, newest first, read by cursor in pages of two. */
class Server {
  rows: Row[] = [];
  isDown = false;
  constructor(ids: string) {
    this.rows = [...ids].map((id) => ({ id, n: 0 }));
  }
  readonly page = (cursor: string | undefined): Promise<Page<Row>> => {
    if (this.isDown) return Promise.reject(new TypeError("down"));
    const from = cursor === undefined ? 0 : this.rows.findIndex((row) => row.id === cursor) + 1;
    const data = this.rows.slice(from, from + 2);
    const isLast = from + 2 >= this.rows.length;
    return Promise.resolve({ data, nextCursor: isLast ? null : (data.at(-1)?.id ?? null) });
  };
}

function open(ids: string): { server: Server; list: PagedList<Row> } {
  const server = new Server(ids);
  return { server, list: new PagedList(server.page, (row) => row.id) };
}

const ids = (list: PagedList<Row>) =>
  list
    .get()
    .rows.map((row) => row.id)
    .join("");

it("reads page by page to the end", async () => {
  const { list } = open("edcba");
  await list.reload();
  expect([ids(list), list.get().hasMore]).toEqual(["ed", true]);
  await list.more();
  await list.more();
  expect([ids(list), list.get().hasMore]).toEqual(["edcba", false]);
  await list.more();
  expect(ids(list)).toBe("edcba");
});

it("holds new rows back until they are asked for", async () => {
  const { server, list } = open("cba");
  await list.reload();
  server.rows = [{ id: "d", n: 0 }, ...server.rows];
  await list.refreshHead();
  expect([ids(list), list.get().arrivals]).toEqual(["cb", 1]);
  await list.showArrivals();
  expect([ids(list), list.get().arrivals]).toEqual(["dcb", 0]);
  await list.more();
  expect(ids(list)).toBe("dcba");
});

it("begins anew when more came than fits a page", async () => {
  const { server, list } = open("cba");
  await list.reload();
  server.rows = ["f", "e", "d"].map((id) => ({ id, n: 0 })).concat(server.rows);
  await list.refreshHead();
  await list.showArrivals();
  await list.more();
  await list.more();
  expect(ids(list)).toBe("fedcba");
});

it("changes rows where they are", async () => {
  const { server, list } = open("dcba");
  await list.reload();
  await list.more();
  server.rows = server.rows.map((row) => ({ ...row, n: 7 }));
  await list.refreshRange(3, 3);
  expect(list.get().rows.map((row) => row.n)).toEqual([0, 0, 7, 7]);
  await list.refreshHead();
  expect(list.get().rows.map((row) => row.n)).toEqual([7, 7, 7, 7]);
});

it("keeps a row that left the list in its place, and says so", async () => {
  const { server, list } = open("dcba");
  await list.reload();
  await list.more();
  server.rows = server.rows.filter((row) => row.id !== "b");
  await list.refreshRange(0, 3);
  expect([ids(list), [...list.get().gone]]).toEqual(["dcba", ["b"]]);
  await list.reload();
  expect(list.get().gone.size).toBe(0);
});

it("shows at once what comes to an empty list", async () => {
  const { server, list } = open("");
  await list.reload();
  server.rows = [{ id: "a", n: 0 }];
  await list.refreshHead();
  expect(ids(list)).toBe("a");
});

it("keeps what it has when the server is away, and recovers", async () => {
  const { server, list } = open("ba");
  await list.reload();
  server.isDown = true;
  await list.refreshHead();
  expect([ids(list), list.get().status, list.get().error?.status]).toEqual(["ba", "ready", 0]);
  server.isDown = false;
  await list.refreshHead();
  expect(list.get().error).toBeUndefined();
});

it("says when the first reading failed", async () => {
  const { server, list } = open("a");
  server.isDown = true;
  await list.reload();
  expect(list.get().status).toBe("failed");
});
