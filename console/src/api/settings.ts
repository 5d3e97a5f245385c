import { useEffect } from "preact/hooks";
import { createStore, useStore } from "../lib/store";
import { api, take, type Schemas } from "./client";

/** What owners set for their organization. */
export type Settings = Schemas["Settings"];

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
  const loaded = await take(api.GET("/api/v1/settings"));
  settings.set(loaded);
  return loaded;
}

export async function saveSettings(next: Settings): Promise<void> {
  settings.set(await take(api.PUT("/api/v1/settings", { body: next })));
}
