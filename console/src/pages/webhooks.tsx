import { useState } from "preact/hooks";
import { api, take, type Schemas } from "../api/client";
import { to } from "../lib/query";
import { useResource } from "../lib/resource";
import type { Column } from "../table/columns";
import { Filters, SearchBox } from "../table/filters";
import { WholeTable } from "../table/whole-table";
import { Badge } from "../ui/badge";
import { webhookCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { Icon } from "../ui/icon";
import { PageFor } from "../ui/only-for";
import { PageHead } from "../ui/page";
import { SecretDialog } from "../ui/secret-dialog";
import { Ago } from "../ui/time";
import { WebhookDialog } from "./webhook-dialog";

type Webhook = Schemas["Webhook"];

const COLUMNS: Column<Webhook>[] = [
  { id: "url", title: "Address", cell: (hook) => hook.url, sortKey: (hook) => hook.url },
  {
    id: "state",
    title: "State",
    width: 96,
    cell: (hook) => (hook.disabled ? <Badge tone="warn">off</Badge> : <Badge tone="good">on</Badge>),
  },
  {
    id: "events",
    title: "Events",
    width: 300,
    from: 760,
    cell: (hook) => (hook.events.length === 0 ? "all" : hook.events.join(", ")),
  },
  {
    id: "created",
    title: "Made",
    width: 110,
    from: 600,
    cell: (hook) => <Ago at={hook.createdAt} />,
    sortKey: (hook) => hook.createdAt,
  },
];

export function Webhooks() {
  return (
    <PageFor role="owner" title="Webhooks" what="see and change webhooks">
      <WebhookList />
    </PageFor>
  );
}

function WebhookList() {
  const [isMaking, setMaking] = useState(false);
  const [made, setMade] = useState<Schemas["WebhookWithSecret"] | undefined>(undefined);
  const hooks = useResource(
    "webhooks",
    async (signal) => (await take(api.GET("/api/v1/webhooks", { signal }))).data,
    10_000,
  );
  return (
    <>
      <PageHead
        title="Webhooks"
        about="Events posted to your own servers: signed, in order, tried again until they are taken."
        actions={
          <button type="button" class="button primary" onClick={() => setMaking(true)}>
            <Icon name="plus" /> New webhook
          </button>
        }
      />
      <Filters>
        <SearchBox name="q" label="Webhooks whose address has …" />
      </Filters>
      <WholeTable
        resource={hooks}
        noun="webhook"
        columns={COLUMNS}
        idOf={(hook) => String(hook.id)}
        hrefOf={(hook) => to.webhook(hook.id)}
        textOf={(hook) => hook.url}
        empty={<Empty title="No webhooks yet" command={webhookCommand()} />}
        nothing={<Empty title="No webhook fits the search" />}
      />
      {isMaking && (
        <WebhookDialog
          onClose={() => setMaking(false)}
          onMade={(hook) => {
            setMaking(false);
            setMade(hook);
            hooks.reload();
          }}
        />
      )}
      {made && (
        <SecretDialog title="The webhook's secret" secret={made.secret} onClose={() => setMade(undefined)}>
          Posts are signed with it. It is shown once: store it where your receiver checks signatures.
        </SecretDialog>
      )}
    </>
  );
}
