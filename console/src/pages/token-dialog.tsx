import { useState } from "preact/hooks";
import { api, take, type Schemas } from "../api/client";
import { Dialog } from "../ui/dialog";
import { CheckField, SelectField, TextField } from "../ui/field";
import { Form } from "../ui/form";
import { Note } from "../ui/note";

const SCOPES: [string, string, string][] = [
  ["credentials", "Mint credentials", "what an application needs"],
  ["read", "Read", "rooms, clients, sessions, usage; for dashboards"],
  ["admin", "Administer", "end, revoke, make tokens; for your own scripts"],
];

const DAYS_MS = 86_400_000;

/** Makes a token. One that replaces another begins with the other's rights; the other goes on until it is revoked. */
export function TokenDialog(props: {
  replaces: Schemas["Token"] | undefined;
  onClose: () => void;
  onMade: (token: Schemas["NewToken"]) => void;
}) {
  const { replaces } = props;
  const [name, setName] = useState(replaces?.name ?? "");
  const [scopes, setScopes] = useState<string[]>(replaces?.scopes ?? ["credentials"]);
  const [days, setDays] = useState("");
  const run = async () => {
    const token = await take(
      api.POST("/api/v1/tokens", {
        body: {
          name,
          scopes,
          ...(replaces?.organizationWide && { organizationWide: true }),
          ...(days && { expiresAt: new Date(Date.now() + Number(days) * DAYS_MS).toISOString() }),
        },
      }),
    );
    props.onMade(token);
  };
  const toggle = (scope: string, isOn: boolean) =>
    setScopes(isOn ? [...scopes, scope] : scopes.filter((other) => other !== scope));
  return (
    <Dialog title={replaces ? `Rotate “${replaces.name}”` : "New token"} onClose={props.onClose}>
      {replaces && (
        <Note>
          A new token with the same rights is made. Both work until you revoke the old one, so change it where it is
          used first.
        </Note>
      )}
      <Form submit="Make the token" run={run} cancel={props.onClose}>
        <TextField
          label="Name"
          value={name}
          onInput={setName}
          isRequired
          hasFocus
          help="Where it is used: “billing backend”."
        />
        <fieldset class="field">
          <legend>It may</legend>
          {SCOPES.map(([scope, title, help]) => (
            <CheckField
              key={scope}
              label={title}
              help={help}
              isChecked={scopes.includes(scope)}
              onChange={(isOn) => toggle(scope, isOn)}
            />
          ))}
        </fieldset>
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
