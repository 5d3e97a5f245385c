import { useState } from "preact/hooks";
import { api, take } from "../api/client";
import { useResource } from "../lib/resource";
import type { Column } from "../table/columns";
import { Filters, SearchBox } from "../table/filters";
import { WholeTable } from "../table/whole-table";
import { Badge } from "../ui/badge";
import { Empty } from "../ui/empty";
import { Icon } from "../ui/icon";
import { PageFor } from "../ui/only-for";
import { PageHead } from "../ui/page";
import { SecretDialog } from "../ui/secret-dialog";
import { Ago } from "../ui/time";
import { InviteDialog } from "./invite-dialog";
import { UserDetails, type Link, type User } from "./user-details";

/** Which dialog is open. */
type Open = { dialog: "details"; user: User } | { dialog: "invite" } | { dialog: "link"; link: string };

export function Users() {
  return (
    <PageFor role="owner" title="Users" what="see who may sign in and invite others">
      <UserList />
    </PageFor>
  );
}

function UserList() {
  const [open, setOpen] = useState<Open | undefined>(undefined);
  const users = useResource("users", async (signal) => (await take(api.GET("/api/v1/users", { signal }))).data, 10_000);
  const close = () => setOpen(undefined);
  const onLink = (made: Link) => {
    setOpen({ dialog: "link", link: window.location.origin + made.link });
    users.reload();
  };
  return (
    <>
      <PageHead
        title="Users"
        about="Who may sign in to this console, and what they may do."
        actions={
          <button type="button" class="button primary" onClick={() => setOpen({ dialog: "invite" })}>
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
        columns={columns((user) => setOpen({ dialog: "details", user }))}
        idOf={(user) => String(user.id)}
        textOf={(user) => `${user.name} ${user.email}`}
        empty={<Empty title="Nobody yet">Invite people here; the link that you get lets them choose a password.</Empty>}
        nothing={<Empty title="Nobody fits the search" />}
      />
      {open?.dialog === "details" && (
        <UserDetails
          user={open.user}
          onClose={close}
          onChanged={() => {
            close();
            users.reload();
          }}
          onLink={onLink}
        />
      )}
      {open?.dialog === "invite" && <InviteDialog onClose={close} onMade={onLink} />}
      {open?.dialog === "link" && (
        <SecretDialog title="A link for them" secret={open.link} onClose={close}>
          Send it to them. It works once, for a day, and lets them choose a password. It is not shown again.
        </SecretDialog>
      )}
    </>
  );
}

function columns(onOpen: (user: User) => void): Column<User>[] {
  return [
    {
      id: "name",
      title: "Name",
      cell: (user) => (
        <button type="button" class="row-link" onClick={() => onOpen(user)}>
          {user.name}
        </button>
      ),
      narrow: (user) => user.email,
      sortKey: (user) => user.name,
    },
    {
      id: "email",
      title: "E-mail address",
      width: 260,
      from: 760,
      cell: (user) => user.email,
      sortKey: (user) => user.email,
    },
    { id: "role", title: "Role", width: 100, from: 420, cell: (user) => user.role, sortKey: (user) => user.role },
    { id: "state", title: "State", width: 110, cell: (user) => <State of={user} />, sortKey: (user) => user.state },
    {
      id: "seen",
      title: "Last seen",
      width: 110,
      from: 640,
      cell: (user) => <Ago at={user.lastSeenAt} />,
      sortKey: (user) => user.lastSeenAt ?? "",
    },
  ];
}

function State({ of }: { of: User }) {
  return <Badge tone={of.state === "active" ? "good" : of.state === "disabled" ? "bad" : "neutral"}>{of.state}</Badge>;
}
