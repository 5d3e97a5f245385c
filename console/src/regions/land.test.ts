import { expect, it } from "vitest";
import { landPoints, project } from "./land";

const isLand = (latitude: number, longitude: number) => {
  const { x, y } = project(latitude, longitude);
  return landPoints().some((point) => point.x === Math.round(x) && point.y === Math.round(y));
};

it.each([
  ["Paris", 48, 2, true],
  ["Nairobi", -1, 37, true],
  ["Sydney's inland", -33, 147, true],
  ["Denver", 40, -105, true],
  ["the Atlantic", 30, -40, false],
  ["the Pacific", 0, -150, false],
  ["the Indian Ocean", -20, 80, false],
])("knows %s", (_, latitude, longitude, land) => expect(isLand(latitude, longitude)).toBe(land));

it("keeps what lies beyond the edge on the map", () => {
  expect(project(-90, 180)).toEqual({ x: 89, y: 34 });
  expect(project(90, -180)).toEqual({ x: 0, y: 0 });
});
