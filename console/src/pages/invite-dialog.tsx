import { useState } from "preact/hooks";
import { api, take } from "../api/client";
import { Dialog } from "../ui/dialog";
import { SelectField, TextField } from "../ui/field";
import { Form } from "../ui/form";
import { ROLES, type Link } from "./user-details";

export function InviteDialog(props: { onClose: () => void; onMade: (link: Link) => void }) {
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState<string>("viewer");
  const run = async () => {
    props.onMade(await take(api.POST("/api/v1/users", { body: { email, role, ...(name && { name }) } })));
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
