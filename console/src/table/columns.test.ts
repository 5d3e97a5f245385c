import { expect, it } from "vitest";
import { fitting, nextSort, parseSort, printSort, sorted, type Column } from "./columns";

const columns: Column<{ name: string; n: number }>[] = [
  { id: "name", title: "Name", cell: (row) => row.name, sortKey: (row) => row.name },
  { id: "n", title: "N", cell: (row) => row.n, sortKey: (row) => row.n, from: 600 },
];
const rows = [
  { name: "r10", n: 2 },
  { name: "r9", n: 2 },
  { name: "R1", n: 30 },
];

it("sorts names as people count", () => {
  const names = sorted(rows, columns, parseSort("name")).map((row) => row.name);
  expect(names).toEqual(["R1", "r9", "r10"]);
});

it("sorts figures, and keeps equals in their order", () => {
  expect(sorted(rows, columns, parseSort("-n")).map((row) => row.name)).toEqual(["R1", "r10", "r9"]);
});

it("leaves the list's own order where a column is unknown", () => {
  expect(sorted(rows, columns, parseSort("evil"))).toBe(rows);
});

it("goes from most first to least first to unsorted", () => {
  const first = nextSort(undefined, "n");
  const second = nextSort(first, "n");
  expect([printSort(first), printSort(second), printSort(nextSort(second, "n"))]).toEqual(["-n", "n", ""]);
});

it("leaves out columns that do not fit", () => {
  expect(fitting(columns, 599).map((column) => column.id)).toEqual(["name"]);
});
