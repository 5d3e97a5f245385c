import { useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, take, type Schemas } from "../api/client";
import { formatDateTime, plural } from "../lib/format";
import { useMay } from "../ui/access";
import { ConfirmButton } from "../ui/confirm";
import { CopyButton } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Facts } from "../ui/page";

type Receipt = Schemas["ErasureReceipt"];

/** Forgets everything about a room or client, and shows the receipt. */
export function EraseButton({ kind, name }: { kind: "room" | "client"; name: string }) {
  const { route } = useLocation();
  const isOwner = useMay("owner");
  const [receipt, setReceipt] = useState<Receipt | undefined>(undefined);
  if (!isOwner) return null;
  const run = async () => {
    const answer =
      kind === "room"
        ? api.POST("/api/v1/rooms/{room}/erase", { params: { path: { room: name } } })
        : api.POST("/api/v1/clients/{client}/erase", { params: { path: { client: name } } });
    setReceipt(await take(answer));
  };
  return (
    <>
      <ConfirmButton
        label="Delete all data"
        title={`Delete everything about ${name}?`}
        consequence={`Its sessions end, its credentials stop working, and every record that bears the name is deleted: sessions, credentials, refusals, kept events, its part of usage and of the audit log. This cannot be undone.`}
        action="Delete it all"
        run={run}
      />
      {receipt && (
        <Dialog title="Receipt" onClose={() => route(kind === "room" ? "/rooms" : "/clients")}>
          <p>Everything about the {kind} is deleted. The audit log keeps this receipt, without the name.</p>
          <Facts
            of={[
              [
                "Number",
                <span key="number" class="row">
                  <code>{receipt.id}</code>{" "}
                  <CopyButton text={JSON.stringify(receipt, null, 2)} label="Copy the receipt" />
                </span>,
              ],
              ["Done", formatDateTime(Date.parse(receipt.erasedAt))],
              ["Deleted", counts(receipt)],
            ]}
          />
        </Dialog>
      )}
    </>
  );
}

function counts(receipt: Receipt): string {
  return [
    plural(receipt.sessions, "session"),
    plural(receipt.credentials, "credential"),
    plural(receipt.failures, "refusal"),
    plural(receipt.events, "event"),
    plural(receipt.usageHours, "hour of usage", "hours of usage"),
    plural(receipt.auditEntries, "audit entry"),
    plural(receipt.calls, "call"),
  ].join(", ");
}
