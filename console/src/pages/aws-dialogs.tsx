import { useState } from "preact/hooks";
import { api, take } from "../api/client";
import { CopyButton } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { SelectField, TextField } from "../ui/field";
import { Form } from "../ui/form";

/** A key that was just made; its secret is shown once. */
export interface Made {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

interface Props {
  onClose: () => void;
  onMade: (made: Made) => void;
}

const PRESETS: [string, string][] = [
  ["master", "Master: make its channel, be its master"],
  ["viewer", "Viewer: find a channel, view it"],
  ["describe", "Describe: only look"],
  ["admin", "Admin: everything"],
];

const DAYS_MS = 86_400_000;

/** Makes an access key. */
export function AccessKeyDialog(props: Props) {
  const [name, setName] = useState("");
  const [days, setDays] = useState("");
  const grant = useGrant("master");
  const run = async () => {
    const expiresAt = days && new Date(Date.now() + Number(days) * DAYS_MS).toISOString();
    const body = { ...(name && { name }), ...grant.body, ...(expiresAt && { expiresAt }) };
    props.onMade(await take(api.POST("/api/v1/aws/access-keys", { body })));
  };
  return (
    <Dialog title="New access key" onClose={props.onClose}>
      <Form submit="Make the key" run={run} cancel={props.onClose}>
        <TextField label="Name" value={name} onInput={setName} hasFocus help="Where it is used: “front door camera”." />
        {grant.fields}
        <SelectField
          label="Expires"
          value={days}
          onChange={setDays}
          of={[
            ["", "Never"],
            ["30", "In 30 days"],
            ["90", "In 90 days"],
            ["365", "In a year"],
          ]}
        />
      </Form>
    </Dialog>
  );
}

/** Mints temporary credentials. */
export function TemporaryDialog(props: Props) {
  const [ttl, setTtl] = useState("3600");
  const grant = useGrant("viewer");
  const run = async () => {
    const body = { ...grant.body, ttl: Number(ttl) };
    props.onMade(await take(api.POST("/api/v1/aws/temporary-credentials", { body })));
  };
  return (
    <Dialog title="Temporary credentials" onClose={props.onClose}>
      <Form submit="Mint them" run={run} cancel={props.onClose}>
        {grant.fields}
        <SelectField
          label="For"
          value={ttl}
          onChange={setTtl}
          of={[
            ["900", "15 minutes"],
            ["3600", "An hour"],
            ["43200", "Twelve hours"],
          ]}
        />
      </Form>
    </Dialog>
  );
}

/** What a key may do and where: the fields, and what they say. */
function useGrant(first: string) {
  const [preset, setPreset] = useState(first);
  const [channel, setChannel] = useState("");
  const [clientId, setClientId] = useState("");
  return {
    body: { preset, ...(channel && { channel }), ...(clientId && { clientId }) },
    fields: (
      <>
        <SelectField label="It may act as" value={preset} onChange={setPreset} of={PRESETS} />
        <TextField
          label="Only channels"
          value={channel}
          onInput={setChannel}
          placeholder="all"
          help="A name, or a pattern: cam-*"
        />
        <TextField
          label="Only as client"
          value={clientId}
          onInput={setClientId}
          placeholder="any"
          help="Keeps one viewer from taking another's place."
        />
      </>
    ),
  };
}

/** Shows a key and its secret this one time, in the words of AWS clients. */
export function KeysDialog({ title, made, onClose }: { title: string; made: Made; onClose: () => void }) {
  const of: [string, string][] = [
    ["AWS_ACCESS_KEY_ID", made.accessKeyId],
    ["AWS_SECRET_ACCESS_KEY", made.secretAccessKey],
    ...(made.sessionToken ? [["AWS_SESSION_TOKEN", made.sessionToken] satisfies [string, string]] : []),
  ];
  return (
    <Dialog title={title} onClose={onClose}>
      <p>The secret is shown once: store it where your client reads its settings.</p>
      {of.map(([name, value]) => (
        <div key={name} class="field">
          <span>{name}</span>
          <div class="row">
            <code class="secret" data-secret={name}>
              {value}
            </code>
            <CopyButton text={value} label={`Copy ${name}`} />
          </div>
        </div>
      ))}
      <div class="dialog-foot">
        <button type="button" class="button primary" onClick={onClose}>
          I have stored it
        </button>
      </div>
    </Dialog>
  );
}
