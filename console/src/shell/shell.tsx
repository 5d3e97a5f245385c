import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { may, roleOf, type Me } from "../api/identity";
import { useStore } from "../lib/store";
import { streamState } from "../live/stream";
import { useEvents } from "../live/use-events";
import { Icon } from "../ui/icon";
import { Toasts } from "../ui/toast";
import { PLACES, placeOf } from "./nav";
import { ProjectSwitch } from "./project-switch";
import { Shortcuts } from "./shortcuts";
import { nextTheme, theme } from "./theme";
import { UserMenu } from "./user-menu";

/** What surrounds every page: places at the side, where one is and who one is at the top. */
export function Shell({ me, children }: { me: Me; children: ComponentChildren }) {
  const [isMenuOpen, setMenuOpen] = useState(false);
  const { path } = useLocation();
  useEffect(() => setMenuOpen(false), [path]);
  useEffect(() => {
    if (!isMenuOpen) return;
    const onKey = (event: KeyboardEvent) => event.key === "Escape" && setMenuOpen(false);
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [isMenuOpen]);
  // The stream lives as long as somebody is signed in, so that pages come and go without a new connection.
  useEvents(() => undefined);
  return (
    <div class="shell">
      <aside class={`sidebar ${isMenuOpen ? "is-open" : ""}`} id="places">
        <a class="brand" href="/">
          <img src="/favicon.svg" alt="" /> Causeway
        </a>
        <Places path={path} me={me} />
        <div class="sidebar-foot">
          Press <kbd>?</kbd> for keys
        </div>
      </aside>
      <button
        type="button"
        class="backdrop"
        aria-label="Close the menu"
        tabIndex={-1}
        onClick={() => setMenuOpen(false)}
      />
      <div>
        <div class="topbar">
          <button
            type="button"
            class="button quiet square menu-button"
            aria-label="Menu"
            aria-expanded={isMenuOpen}
            aria-controls="places"
            onClick={() => setMenuOpen(!isMenuOpen)}
          >
            <Icon name="menu" />
          </button>
          <Crumbs path={path} />
          <StreamDot />
          <ProjectSwitch me={me} />
          <ThemeButton />
          <UserMenu me={me} />
        </div>
        <main class="main" id="main">
          {children}
        </main>
      </div>
      <Shortcuts />
      <Toasts />
    </div>
  );
}

function Places({ path, me }: { path: string; me: Me }) {
  const here = placeOf(path);
  return (
    <nav class="nav" aria-label="Pages">
      {PLACES.map((group) => (
        <div key={group.title}>
          {group.title && <h2>{group.title}</h2>}
          {group.places
            .filter((place) => may(roleOf(me), place.role ?? "viewer"))
            .map((place) => (
              <a key={place.path} href={place.path} {...(place === here && { "aria-current": "page" as const })}>
                <Icon name={place.icon} /> {place.title}
                <kbd aria-hidden="true">g {place.key}</kbd>
              </a>
            ))}
        </div>
      ))}
    </nav>
  );
}

function Crumbs({ path }: { path: string }) {
  const place = placeOf(path);
  const rest = place && place.path !== "/" ? path.slice(place.path.length + 1) : "";
  if (!place) return <div class="crumbs" />;
  return (
    <nav class="crumbs" aria-label="Where you are">
      {rest ? (
        <>
          <a href={place.path}>{place.title}</a>
          <span aria-hidden="true">/</span>
          <span>{decode(rest)}</span>
        </>
      ) : (
        <span>{place.title}</span>
      )}
    </nav>
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const STREAM_TEXT = { off: "", connecting: "", live: "live", lost: "reconnecting" } as const;

function StreamDot() {
  const state = useStore(streamState);
  if (!STREAM_TEXT[state]) return null;
  const title =
    state === "live" ? "Events of the server arrive as they happen" : "The event stream is away; trying again";
  return (
    <span class={`live-dot ${state}`} title={title} role="status">
      {STREAM_TEXT[state]}
    </span>
  );
}

function ThemeButton() {
  const chosen = useStore(theme);
  const icon = chosen === "system" ? "screen" : chosen === "light" ? "sun" : "moon";
  const label = `Colours: ${chosen}`;
  return (
    <button type="button" class="button quiet square" title={label} aria-label={label} onClick={nextTheme}>
      <Icon name={icon} />
    </button>
  );
}
