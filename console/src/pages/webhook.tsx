import { useState } from "preact/hooks";
import { useLocation, useRoute } from "preact-iso";
import { api, take, type Schemas } from "../api/client";
import { formatDateTime, formatDuration } from "../lib/format";
import { useResource } from "../lib/resource";
import type { Column } from "../table/columns";
import { LiveTable } from "../table/live-table";
import { usePagedList } from "../table/use-paged-list";
import { useMay } from "../ui/access";
import { Badge } from "../ui/badge";
import { ConfirmButton } from "../ui/confirm";
import { Empty } from "../ui/empty";
import { ErrorNote } from "../ui/note";
import { PageFor } from "../ui/only-for";
import { Card, Facts, PageHead } from "../ui/page";
import { SecretDialog } from "../ui/secret-dialog";
import { say, sayError } from "../ui/toast";
import { Ago } from "../ui/time";

type Delivery = Schemas["Delivery"];
type Webhook = Schemas["Webhook"];

const FIGURES_MS = 4000;

export function WebhookPage() {
  const id = Number(useRoute().params["id"]);
  return (
    <PageFor role="owner" title="Webhook" what="see and change webhooks">
      <OneWebhook id={id} />
    </PageFor>
  );
}

function OneWebhook({ id }: { id: number }) {
  const { data, error, reload } = useResource(
    `webhook ${id}`,
    (signal) => take(api.GET("/api/v1/webhooks/{id}", { params: { path: { id } }, signal })),
    FIGURES_MS,
  );
  if (!data) {
    return error === undefined ? <PageHead title="Webhook" /> : <ErrorNote error={error} retry={reload} />;
  }
  return (
    <div class="stack">
      <Head hook={data} reload={reload} />
      <Card title="What it gets">
        <Facts
          of={[
            ["Events", data.events.length === 0 ? "all" : data.events.join(", ")],
            [
              "Taken or given up to",
              <span key="to" class="mono">
                {data.deliveredTo}
              </span>,
            ],
            ["Signed with", data.hasPreviousSecret ? "the newest secret and the one before" : "one secret"],
            ["Made", formatDateTime(Date.parse(data.createdAt))],
          ]}
        />
      </Card>
      <h2>Attempts</h2>
      <Deliveries id={id} />
    </div>
  );
}

function Head({ hook, reload }: { hook: Webhook; reload: () => void }) {
  const { route } = useLocation();
  const isOwner = useMay("owner");
  const [secret, setSecret] = useState<string | undefined>(undefined);
  const path = { id: hook.id };
  const change = async (body: Schemas["WebhookRequest"]) => {
    await take(api.PATCH("/api/v1/webhooks/{id}", { params: { path }, body }));
    reload();
  };
  const rotate = async () => {
    const answer = await take(api.POST("/api/v1/webhooks/{id}/rotate-secret", { params: { path } }));
    setSecret(answer.secret);
    reload();
  };
  const remove = async () => {
    await take(api.DELETE("/api/v1/webhooks/{id}", { params: { path } }));
    route("/webhooks");
  };
  return (
    <PageHead
      title={hook.url}
      badge={hook.disabled ? <Badge tone="warn">off</Badge> : <Badge tone="good">on</Badge>}
      actions={
        isOwner && (
          <>
            <button
              type="button"
              class="button"
              onClick={() => void change({ disabled: !hook.disabled }).catch(sayError)}
            >
              {hook.disabled ? "Switch on" : "Switch off"}
            </button>
            <button type="button" class="button" onClick={() => void rotate().catch(sayError)}>
              New secret
            </button>
            {hook.hasPreviousSecret && (
              <ConfirmButton
                label="Drop the old secret"
                title="Drop the old secret?"
                consequence="Posts are signed with the newest secret only. A receiver that knows only the old one refuses them."
                action="Drop it"
                run={() => change({ dropPreviousSecret: true })}
              />
            )}
            <ConfirmButton
              label="Remove"
              title="Remove this webhook?"
              consequence="Nothing is posted to it any more, and its log is forgotten."
              action="Remove"
              run={remove}
            />
            {secret && (
              <SecretDialog title="The new secret" secret={secret} onClose={() => setSecret(undefined)}>
                Posts carry a signature of both secrets until you drop the old one.
              </SecretDialog>
            )}
          </>
        )
      }
    />
  );
}

function Deliveries({ id }: { id: number }) {
  const isOperator = useMay("operator");
  const live = usePagedList<Delivery>(
    `deliveries ${id}`,
    (cursor, signal) =>
      take(
        api.GET("/api/v1/webhooks/{id}/deliveries", {
          params: { path: { id }, query: { limit: 100, ...(cursor && { cursor }) } },
          signal,
        }),
      ),
    (delivery) => `${delivery.eventId} ${delivery.attempt} ${delivery.at}`,
    { concerns: () => true },
  );
  const resend = async (delivery: Delivery) => {
    // Everything after an event is posted again, so this one is asked for by the number before it.
    const after = String(BigInt(delivery.eventId) - 1n);
    await take(api.POST("/api/v1/webhooks/{id}/replay", { params: { path: { id } }, body: { after } }));
    say("Posted once more from that event on.");
  };
  const columns: Column<Delivery>[] = [
    {
      id: "event",
      title: "Event",
      cell: (delivery) => <span class="mono">{delivery.eventId}</span>,
      narrow: (delivery) => delivery.error ?? "",
    },
    { id: "status", title: "Answer", width: 110, cell: (delivery) => <Answer delivery={delivery} /> },
    { id: "attempt", title: "Attempt", width: 84, isNumber: true, from: 560, cell: (delivery) => delivery.attempt },
    {
      id: "took",
      title: "Took",
      width: 92,
      isNumber: true,
      from: 520,
      cell: (delivery) => formatDuration(delivery.tookMs),
    },
    { id: "error", title: "Why not", width: 260, from: 980, cell: (delivery) => delivery.error ?? "" },
    { id: "at", title: "When", width: 104, from: 640, cell: (delivery) => <Ago at={delivery.at} /> },
    {
      id: "resend",
      title: "Resend",
      width: 130,
      from: 760,
      cell: (delivery) =>
        isOperator && (
          <button type="button" class="button small" onClick={() => void resend(delivery).catch(sayError)}>
            From here on
          </button>
        ),
    },
  ];
  return (
    <LiveTable
      live={live}
      noun="attempt"
      columns={columns}
      idOf={(delivery) => `${delivery.eventId} ${delivery.attempt} ${delivery.at}`}
      empty={<Empty title="Nothing was posted yet">The next event that this webhook wants is posted at once.</Empty>}
    />
  );
}

function Answer({ delivery }: { delivery: Delivery }) {
  if (delivery.status == null) return <Badge tone="bad">none</Badge>;
  const isTaken = delivery.status >= 200 && delivery.status < 300;
  return <Badge tone={isTaken ? "good" : "warn"}>{delivery.status}</Badge>;
}
