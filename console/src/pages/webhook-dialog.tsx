import { useState } from "preact/hooks";
import { api, take, type Schemas } from "../api/client";
import { Dialog } from "../ui/dialog";
import { CheckField, TextField } from "../ui/field";
import { Form } from "../ui/form";

const EVENTS = [
  "credential.minted",
  "credential.revoked",
  "credential.expired",
  "auth.refused",
  "session.started",
  "session.first_data",
  "session.refreshed",
  "session.path_changed",
  "session.ended",
  "limit.reached",
  "room.opened",
  "room.closed",
  "region.changed",
  "token.created",
  "token.used_first_time",
  "token.revoked",
  "registration.opened",
  "registration.closed",
];

export function WebhookDialog(props: { onClose: () => void; onMade: (hook: Schemas["WebhookWithSecret"]) => void }) {
  const [url, setUrl] = useState("");
  const [events, setEvents] = useState<string[]>([]);
  const run = async () => {
    props.onMade(await take(api.POST("/api/v1/webhooks", { body: { url, events } })));
  };
  const toggle = (name: string, isOn: boolean) =>
    setEvents(isOn ? [...events, name] : events.filter((other) => other !== name));
  return (
    <Dialog title="New webhook" onClose={props.onClose} isWide>
      <Form submit="Make the webhook" run={run} cancel={props.onClose}>
        <TextField
          label="Address"
          type="url"
          value={url}
          onInput={setUrl}
          isRequired
          hasFocus
          placeholder="https://example.com/hook"
          help="Only https. Addresses inside your own network are refused."
        />
        <fieldset class="field">
          <legend>Events</legend>
          <span class="help">None marked means all.</span>
          <div class="choices">
            {EVENTS.map((name) => (
              <CheckField
                key={name}
                label={<span class="mono">{name}</span>}
                isChecked={events.includes(name)}
                onChange={(isOn) => toggle(name, isOn)}
              />
            ))}
          </div>
        </fieldset>
      </Form>
    </Dialog>
  );
}
