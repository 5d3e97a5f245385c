import type { ComponentChildren } from "preact";
import { identity, may, roleOf, type Role } from "../api/identity";
import { useStore } from "../lib/store";
import { useMay } from "./access";
import { Note } from "./note";
import { PageHead } from "./page";

const WHO: Record<Role, string> = { viewer: "Everybody", operator: "Operators and owners", owner: "Only owners" };

/** Says plainly why something that others can do here is missing: the role of who is signed in does not allow it. */
export function OnlyFor({ role, what }: { role: Role; what: string }) {
  const who = useStore(identity);
  if (who.state !== "signed-in" || may(roleOf(who.me), role)) return null;
  return (
    <div data-only-for={role}>
      <Note>
        {WHO[role]} may {what}. You are signed in as {roleOf(who.me)}.
      </Note>
    </div>
  );
}

/** A page that only a role may see: everybody else is told so. */
export function PageFor(props: { role: Role; title: string; what: string; children: ComponentChildren }) {
  if (useMay(props.role)) return <>{props.children}</>;
  return (
    <>
      <PageHead title={props.title} />
      <OnlyFor role={props.role} what={props.what} />
    </>
  );
}
