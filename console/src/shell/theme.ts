import { createStore } from "../lib/store";

export type Theme = "system" | "light" | "dark";

const KEY = "causeway.theme";

function stored(): Theme {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

export const theme = createStore<Theme>(stored());

export function applyTheme(): void {
  const root = document.documentElement;
  const chosen = theme.get();
  if (chosen === "system") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", chosen);
}

/** System, light, dark, and round again. */
export function nextTheme(): void {
  const order: Theme[] = ["system", "light", "dark"];
  const next = order[(order.indexOf(theme.get()) + 1) % order.length] ?? "system";
  if (next === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
  theme.set(next);
  applyTheme();
}
