import { useState } from "preact/hooks";
import { api, take } from "../api/client";
import { to } from "../lib/query";
import { CopyButton } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { SelectField } from "../ui/field";
import { Form } from "../ui/form";
import { toFragment } from "./share";

/** A trial moves a few ten megabytes each way; this allows some, and no call of hours. */
const SHARED_BYTES_MAX = 1_000_000_000;
/** Two connections at a time, and two that are on their way out. */
const SHARED_ALLOCATIONS_MAX = 4;

/** Makes a link with which somebody else examines their own connection. */
export function ShareDialog({ onClose }: { onClose: () => void }) {
  const [hours, setHours] = useState("1");
  const [made, setMade] = useState<{ link: string; room: string } | undefined>(undefined);
  const run = async () => {
    const room = `check-${crypto.getRandomValues(new Uint32Array(1))[0]?.toString(36) ?? ""}`;
    const answer = await take(
      api.POST("/api/v1/credentials/ice", {
        body: {
          room,
          ttl: Number(hours) * 3600,
          // The credential relays to nobody but itself.
          peer_scope: "room",
          max_bytes: SHARED_BYTES_MAX,
          max_allocations: SHARED_ALLOCATIONS_MAX,
        },
      }),
    );
    const { iceServers, expiresAt } = answer;
    setMade({ link: `${window.location.origin}/check#${toFragment({ iceServers, expiresAt })}`, room });
  };
  return (
    <Dialog title="A link for somebody else" onClose={onClose}>
      {made ? (
        <>
          <p>
            Whoever opens it sees the check and nothing else of this server. Their attempts are in the room{" "}
            <a href={to.room(made.room)}>{made.room}</a>.
          </p>
          <div class="row">
            <code class="secret clipped" data-secret>
              {made.link}
            </code>
            <CopyButton text={made.link} label="Copy the link" />
          </div>
        </>
      ) : (
        <Form submit="Make the link" run={run} cancel={onClose}>
          <p>
            The link carries a credential that relays only within itself, at most a gigabyte. No account is needed, and
            no request to the API is made with it.
          </p>
          <SelectField
            label="Good for"
            value={hours}
            onChange={setHours}
            of={[
              ["1", "An hour"],
              ["24", "A day"],
            ]}
          />
        </Form>
      )}
    </Dialog>
  );
}
