/**
 * The address that a template of the settings gives for a name. The server takes only `http:` and `https:` templates;
 * this looks again, since following a link is what would do harm.
 */
export function linkOut(
  template: string | null | undefined,
  name: "room" | "client",
  value: string,
): string | undefined {
  if (!template) return undefined;
  const text = template.replaceAll(`{${name}}`, encodeURIComponent(value));
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : undefined;
  } catch {
    return undefined;
  }
}
