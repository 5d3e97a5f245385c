import { useState } from "preact/hooks";
import { send } from "../api/send";
import type { Role } from "../api/identity";
import { useResource } from "../lib/resource";
import type { Column } from "../table/columns";
import { Filters, SearchBox } from "../table/filters";
import { WholeTable } from "../table/whole-table";
import { Badge } from "../ui/badge";
import { ConfirmButton } from "../ui/confirm";
import { Dialog } from "../ui/dialog";
import { Empty } from "../ui/empty";
import { SelectField, TextField } from "../ui/field";
import { Form } from "../ui/form";
import { Icon } from "../ui/icon";
import { PageHead } from "../ui/page";
import { SecretDialog } from "../ui/secret-dialog";
import { Ago } from "../ui/time";
import { say, sayError } from "../ui/toast";

interface User {
  id: number;
  email: string;
  name: string;
  role: Role;
  state: "active" | "invited" | "disabled";
  signIn: string[];
  createdAt: string;
  lastSeenAt: string | null;
}

interface Link {
  link: string;
  expiresAt: string;
}

const ROLES: [Role, string][] = [
  ["viewer", "Viewer: may look"],
  ["operator", "Operator: may also mint, end and revoke"],
  ["owner", "Owner: may do everything"],
];

export function Users() {
  const [isInviting, setInviting] = useState(false);
  const [link, setLink] = useState<string | undefined>(undefined);
  const users = useResource("users", async () => (await send<{ data: User[] }>("GET", "/api/v1/users")).data, 10_000);
  const showLink = (made: Link) => setLink(window.location.origin + made.link);
  const attempt = (work: () => Promise<void>) => void work().catch(sayError).finally(users.reload);
  const change = (user: User, what: object) => send("PATCH", `/api/v1/users/${user.id}`, what);
  const columns: Column<User>[] = [
    {
      id: "name",
      title: "Name",
      cell: (user) => user.name,
      narrow: (user) => user.email,
      sortKey: (user) => user.name,
    },
    {
      id: "email",
      title: "E-mail address",
      width: 240,
      from: 760,
      cell: (user) => user.email,
      sortKey: (user) => user.email,
    },
    {
      id: "role",
      title: "Role",
      width: 130,
      cell: (user) => (
        <select
          class="input"
          aria-label={`Role of ${user.name}`}
          value={user.role}
          onChange={(event) => {
            const role = event.currentTarget.value;
            attempt(async () => {
              await change(user, { role });
            });
          }}
        >
          {ROLES.map(([role]) => (
            <option key={role} value={role}>
              {role}
            </option>
          ))}
        </select>
      ),
      sortKey: (user) => user.role,
    },
    {
      id: "state",
      title: "State",
      width: 110,
      from: 480,
      cell: (user) => <State of={user} />,
      sortKey: (user) => user.state,
    },
    {
      id: "seen",
      title: "Last seen",
      width: 110,
      from: 900,
      cell: (user) => <Ago at={user.lastSeenAt} />,
      sortKey: (user) => user.lastSeenAt ?? "",
    },
    {
      id: "actions",
      title: "Actions",
      width: 330,
      from: 1000,
      cell: (user) => (
        <span class="row">
          <button
            type="button"
            class="button small"
            onClick={() => attempt(async () => showLink(await send<Link>("POST", `/api/v1/users/${user.id}/link`)))}
          >
            New link
          </button>
          <button
            type="button"
            class="button small"
            onClick={() =>
              attempt(async () => {
                await send("POST", `/api/v1/users/${user.id}/logout`);
                say(`${user.name} is signed out everywhere.`);
              })
            }
          >
            Sign out
          </button>
          {user.state === "disabled" ? (
            <button
              type="button"
              class="button small"
              onClick={() =>
                attempt(async () => {
                  await change(user, { disabled: false });
                })
              }
            >
              Let in
            </button>
          ) : (
            <ConfirmButton
              label="Keep out"
              isSmall
              title={`Keep ${user.name} out?`}
              consequence="Their sign-ins end at once, and they cannot sign in until you let them in again."
              action="Keep out"
              run={async () => {
                await change(user, { disabled: true });
                users.reload();
              }}
            />
          )}
        </span>
      ),
    },
  ];
  return (
    <>
      <PageHead
        title="Users"
        about="Who may sign in to this console, and what they may do."
        actions={
          <button type="button" class="button primary" onClick={() => setInviting(true)}>
            <Icon name="plus" /> Invite somebody
          </button>
        }
      />
      <Filters>
        <SearchBox name="q" label="Name or e-mail address" />
      </Filters>
      <WholeTable
        resource={users}
        noun="user"
        columns={columns}
        idOf={(user) => String(user.id)}
        textOf={(user) => `${user.name} ${user.email}`}
        empty={<Empty title="Nobody yet" />}
        nothing={<Empty title="Nobody fits the search" />}
      />
      {isInviting && (
        <InviteDialog
          onClose={() => setInviting(false)}
          onMade={(made) => {
            setInviting(false);
            showLink(made);
            users.reload();
          }}
        />
      )}
      {link && (
        <SecretDialog title="A link for them" secret={link} onClose={() => setLink(undefined)}>
          Send it to them. It works once, for a day, and lets them choose a password. It is not shown again.
        </SecretDialog>
      )}
    </>
  );
}

function State({ of }: { of: User }) {
  return <Badge tone={of.state === "active" ? "good" : of.state === "disabled" ? "bad" : "neutral"}>{of.state}</Badge>;
}

function InviteDialog(props: { onClose: () => void; onMade: (link: Link) => void }) {
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState<string>("viewer");
  const run = async () => {
    props.onMade(await send<Link>("POST", "/api/v1/users", { email, role, ...(name && { name }) }));
  };
  return (
    <Dialog title="Invite somebody" onClose={props.onClose}>
      <Form submit="Make the invitation" run={run} cancel={props.onClose}>
        <TextField
          label="E-mail address"
          type="email"
          value={email}
          onInput={setEmail}
          isRequired
          hasFocus
          help="To sign in with; no mail is sent."
        />
        <TextField label="Name" value={name} onInput={setName} />
        <SelectField label="Role" value={role} onChange={setRole} of={ROLES} />
      </Form>
    </Dialog>
  );
}
