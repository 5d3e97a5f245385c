import { useEffect } from "preact/hooks";
import { createStore, useStore } from "../lib/store";
import { send } from "./send";

/** What owners set for their organization. */
export interface Settings {
  roomLink: string | null;
  clientLink: string | null;
  pricePerGb: string | null;
  pricePerMinute: string | null;
  currency: string | null;
  retentionDays: number | null;
  addresses: "keep" | "truncate" | "drop";
}

const settings = createStore<Settings | undefined>(undefined);
let isAsked = false;

/** The settings, read once and kept for links and prices; undefined until they are there. */
export function useSettings(): Settings | undefined {
  useEffect(() => {
    if (isAsked) return;
    isAsked = true;
    loadSettings().catch(() => {
      isAsked = false;
    });
  }, []);
  return useStore(settings);
}

export async function loadSettings(): Promise<Settings> {
  const loaded = await send<Settings>("GET", "/api/v1/settings");
  settings.set(loaded);
  return loaded;
}

export async function saveSettings(next: Settings): Promise<void> {
  settings.set(await send<Settings>("PUT", "/api/v1/settings", next));
}
