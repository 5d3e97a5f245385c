import type { IconName } from "../ui/icon";
import type { Role } from "../api/identity";

export interface Place {
  path: string;
  title: string;
  icon: IconName;
  /** "g" and then this key goes there. */
  key: string;
  /** Who has use for it; everybody when not said. */
  role?: Role;
}

export const PLACES: { title: string; places: Place[] }[] = [
  { title: "", places: [{ path: "/", title: "Overview", icon: "overview", key: "o" }] },
  {
    title: "Calls",
    places: [
      { path: "/rooms", title: "Rooms", icon: "room", key: "r" },
      { path: "/clients", title: "Clients", icon: "client", key: "c" },
      { path: "/registrations", title: "Registrations", icon: "registration", key: "p" },
      { path: "/calls", title: "Calls", icon: "call", key: "l" },
      { path: "/sessions", title: "Sessions", icon: "session", key: "s" },
      { path: "/failures", title: "Failures", icon: "failure", key: "f" },
      { path: "/usage", title: "Usage", icon: "usage", key: "u" },
    ],
  },
  {
    title: "Access",
    places: [
      { path: "/credentials", title: "Credentials", icon: "credential", key: "k" },
      { path: "/tokens", title: "API tokens", icon: "token", key: "t" },
      { path: "/voice", title: "Voice", icon: "call", key: "v" },
      { path: "/aws", title: "AWS clients", icon: "key", key: "x" },
    ],
  },
  {
    title: "Server",
    places: [
      { path: "/doctor", title: "Connection doctor", icon: "doctor", key: "d" },
      { path: "/regions", title: "Regions", icon: "region", key: "n" },
      { path: "/webhooks", title: "Webhooks", icon: "webhook", key: "w", role: "owner" },
      { path: "/audit", title: "Audit", icon: "audit", key: "a" },
      { path: "/users", title: "Users", icon: "users", key: "m", role: "owner" },
      { path: "/settings", title: "Settings", icon: "settings", key: "e" },
    ],
  },
];

export function placeOf(path: string): Place | undefined {
  const all = PLACES.flatMap((group) => group.places);
  return all.find((place) =>
    place.path === "/" ? path === "/" : path === place.path || path.startsWith(`${place.path}/`),
  );
}
