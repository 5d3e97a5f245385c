import { useSettings } from "../api/settings";
import { linkOut } from "../lib/link-out";
import { Icon } from "./icon";

/** A button to the owner's own page about a room or client, where the settings say where that is. */
export function LinkOut({ kind, name }: { kind: "room" | "client"; name: string }) {
  const settings = useSettings();
  const address = linkOut(kind === "room" ? settings?.roomLink : settings?.clientLink, kind, name);
  if (!address) return null;
  return (
    <a class="button" href={address} target="_blank" rel="noopener noreferrer">
      <Icon name="external" /> In your system
    </a>
  );
}
