import { useState } from "preact/hooks";
import type { Role } from "../api/identity";
import { api, take, type Schemas } from "../api/client";
import { ConfirmButton } from "../ui/confirm";
import { Dialog } from "../ui/dialog";
import { SelectField } from "../ui/field";
import { ErrorNote } from "../ui/note";
import { Facts } from "../ui/page";
import { Ago } from "../ui/time";
import { say } from "../ui/toast";

/** Somebody who may sign in. */
export type User = Schemas["User"];

/** A one-time link, as a path. */
export type Link = Pick<Schemas["Link"], "link">;

export const ROLES: [Role, string][] = [
  ["viewer", "Viewer: may look"],
  ["operator", "Operator: may also mint, end and revoke"],
  ["owner", "Owner: may do everything"],
];

/** All about one user, and what an owner can do with them. */
export function UserDetails(props: {
  user: User;
  onClose: () => void;
  onChanged: () => void;
  onLink: (link: Link) => void;
}) {
  const { user } = props;
  const [error, setError] = useState<unknown>(undefined);
  const params = { path: { id: user.id } };
  const attempt = (work: () => Promise<void>) => {
    setError(undefined);
    work().catch(setError);
  };
  const change = async (what: { role?: string; disabled?: boolean }) => {
    await take(api.PATCH("/api/v1/users/{id}", { params, body: what }));
    props.onChanged();
  };
  return (
    <Dialog title={user.name} onClose={props.onClose}>
      <Facts
        of={[
          ["E-mail address", user.email],
          ["State", user.state],
          ["Signs in with", user.signIn.join(", ") || "nothing yet"],
          ["Added", <Ago key="added" at={user.createdAt} />],
          ["Last seen", <Ago key="seen" at={user.lastSeenAt} />],
        ]}
      />
      <SelectField label="Role" value={user.role} onChange={(role) => attempt(() => change({ role }))} of={ROLES} />
      {error !== undefined && <ErrorNote error={error} />}
      <div class="dialog-foot">
        <button
          type="button"
          class="button"
          onClick={() => attempt(async () => props.onLink(await take(api.POST("/api/v1/users/{id}/link", { params }))))}
        >
          New link
        </button>
        <button
          type="button"
          class="button"
          onClick={() =>
            attempt(async () => {
              await take(api.POST("/api/v1/users/{id}/logout", { params }));
              say(`${user.name} is signed out everywhere.`);
              props.onChanged();
            })
          }
        >
          Sign out everywhere
        </button>
        {user.state === "disabled" ? (
          <button type="button" class="button" onClick={() => attempt(() => change({ disabled: false }))}>
            Let in
          </button>
        ) : (
          <ConfirmButton
            label="Keep out"
            title={`Keep ${user.name} out?`}
            consequence="Their sign-ins end at once, and they cannot sign in until you let them in again."
            action="Keep out"
            run={() => change({ disabled: true })}
          />
        )}
      </div>
    </Dialog>
  );
}
