/** The console's own icons: 24 by 24, strokes only. */
const PATHS = {
  overview: "M4 13h6V4H4zM14 20h6v-9h-6zM14 4v3h6V4zM4 17v3h6v-3z",
  room: "M4 20V6l8-3 8 3v14M9 20v-6h6v6",
  client: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20c1-4 4-5.5 7.5-5.5s6.5 1.5 7.5 5.5",
  registration: "M12 13v7M8 20h8M12 11.5v.01M8 15a5 5 0 1 1 8 0M5.5 17.5a8.5 8.5 0 1 1 13 0",
  call: "M6 3h4l1.5 5-2.5 2a13 13 0 0 0 5 5l2-2.5 5 1.5v4a2 2 0 0 1-2 2A17 17 0 0 1 4 5a2 2 0 0 1 2-2z",
  session: "M3 12h4l3-8 4 16 3-8h4",
  failure: "M12 8v5M12 16.5v.01M10.3 4 2.8 17.5A2 2 0 0 0 4.5 20h15a2 2 0 0 0 1.7-2.5L13.7 4a2 2 0 0 0-3.4 0z",
  credential: "M14.5 3.5a6 6 0 1 1-4.3 10.2L3.5 20.5h4v-3h3l.8-2.6M16 8.5v.01",
  token: "M12 3 4 6.5V12c0 5 3.5 8 8 9 4.5-1 8-4 8-9V6.5zM9 12l2 2 4-4",
  usage: "M4 20V10M10 20V4M16 20v-7M21 20H3",
  region: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  webhook: "M9 7a3 3 0 1 1 4.5 2.6L17 16M17 13a3 3 0 1 1-2.8 4H8M5 14.5A3 3 0 1 0 8 17l3.5-6.5",
  doctor: "M5 3v6a5 5 0 0 0 10 0V3M3.5 3H7M13 3h3.5M10 14v2.5a4.5 4.5 0 0 0 9 0V13M19 13a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  audit: "M6 3h9l4 4v14H6zM14 3v5h5M9 12h7M9 16h7",
  users:
    "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 19c.8-3.6 3.3-5 6.5-5s5.7 1.4 6.5 5M16 4.5a3.5 3.5 0 0 1 0 6.3M18 14.3c2 .7 3.1 2.2 3.5 4.7",
  settings:
    "M4 7h10M18 7h2M4 17h2M10 17h10M16 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM8 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6 6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12.5 10 17.5 19.5 7",
  external: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M5 19l1.4-1.4M17.6 6.4 19 5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  screen: "M3 4h18v12H3zM8 20h8M12 16v4",
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  right: "M9 5l7 7-7 7",
  plus: "M12 5v14M5 12h14",
  refresh: "M20 11a8 8 0 1 0-1 5M20 4v7h-7",
  stop: "M6 6h12v12H6z",
  out: "M10 4H5v16h5M15 8l4 4-4 4M19 12H9",
  key: "M14.5 3.5a6 6 0 1 1-4.3 10.2L3.5 20.5h4v-3h3l.8-2.6",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5M12 8v.01",
  download: "M12 4v11M7 11l5 5 5-5M4 20h16",
  link: "M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 6 6l1-1",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
