import type { paths } from "../api/schema";

/** A region as the API lists it. */
export type Region = paths["/api/v1/regions"]["get"]["responses"]["200"]["content"]["application/json"][number];

export function regionTone(region: Pick<Region, "is_online" | "is_operational">): "good" | "warn" | "bad" {
  if (!region.is_online) return "bad";
  return region.is_operational ? "good" : "warn";
}

export function regionState(region: Pick<Region, "is_online" | "is_operational">): string {
  if (!region.is_online) return "does not answer";
  return region.is_operational ? "takes calls" : "takes no new calls";
}
