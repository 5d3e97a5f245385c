import { useEffect, useState } from "preact/hooks";
import { loadSettings, saveSettings, type Settings as Values } from "../api/settings";
import { useResource } from "../lib/resource";
import { useMay } from "../ui/access";
import { SelectField, TextField } from "../ui/field";
import { Form } from "../ui/form";
import { ErrorNote } from "../ui/note";
import { OnlyFor } from "../ui/only-for";
import { Card, PageHead } from "../ui/page";
import { say } from "../ui/toast";

export function Settings() {
  const isOwner = useMay("owner");
  const { data, error, reload } = useResource("settings", loadSettings);
  return (
    <div class="stack">
      <PageHead title="Settings" about="For the whole organization: every project and everybody who signs in." />
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      <OnlyFor role="owner" what="change settings" />
      {data && <SettingsForm saved={data} isOwner={isOwner} />}
    </div>
  );
}

function SettingsForm({ saved, isOwner }: { saved: Values; isOwner: boolean }) {
  const [values, setValues] = useState(saved);
  useEffect(() => setValues(saved), [saved]);
  const text = (name: "roomLink" | "clientLink" | "pricePerGb" | "pricePerMinute" | "currency") => ({
    value: values[name] ?? "",
    onInput: (value: string) => setValues({ ...values, [name]: value.trim() || null }),
  });
  const run = async () => {
    await saveSettings(values);
    say("The settings are saved.");
  };
  return (
    <Form submit="Save" run={run} isDisabled={!isOwner}>
      <div class="columns three">
        <Card title="Links to your own system" about="Rooms and clients here lead to their pages there.">
          <div class="form">
            <TextField
              label="A room"
              placeholder="https://crm.example.com/rooms/{room}"
              {...text("roomLink")}
              help="{room} becomes the room's name. Only http and https."
            />
            <TextField
              label="A client"
              placeholder="https://crm.example.com/people/{client}"
              {...text("clientLink")}
              help="{client} becomes the client's name."
            />
          </div>
        </Card>
        <Card title="Prices" about="For the estimate on the usage page; nothing is charged.">
          <div class="form">
            <TextField
              label="Per gigabyte"
              placeholder="0.05"
              {...text("pricePerGb")}
              help="10⁹ bytes, both directions."
            />
            <TextField label="Per minute of a session" placeholder="0.001" {...text("pricePerMinute")} />
            <TextField label="Currency" placeholder="EUR" {...text("currency")} help="Three letters." />
          </div>
        </Card>
        <Card title="Privacy" about="What is kept about the people who call.">
          <div class="form">
            <SelectField
              label="Addresses of clients and peers"
              value={values.addresses}
              onChange={(value) => setValues({ ...values, addresses: value })}
              of={[
                ["keep", "Keep them"],
                ["truncate", "Keep only their networks (/24, /48)"],
                ["drop", "Keep nothing"],
              ]}
              help="Holds for what is recorded from here on."
            />
            <TextField
              label="Days that ended sessions are kept"
              type="number"
              value={values.retentionDays == null ? "" : String(values.retentionDays)}
              onInput={(value) => setValues({ ...values, retentionDays: value ? Number(value) : null })}
              placeholder="for ever"
              help="Usage figures stay; the sessions behind them go."
            />
          </div>
        </Card>
      </div>
    </Form>
  );
}
