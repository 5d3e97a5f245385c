import { useState } from "preact/hooks";
import { welcome } from "../api/auth";
import { TextField } from "../ui/field";
import { Form } from "../ui/form";
import { Note } from "../ui/note";
import { Gate } from "./gate";

/** Where the first start's link leads. What follows "#" never reaches a server's log. */
export function Welcome() {
  const [token] = useState(() => {
    const value = new URLSearchParams(window.location.hash.slice(1)).get("token") ?? "";
    window.history.replaceState(null, "", "/welcome");
    return value;
  });
  const [name, setName] = useState("owner");
  const [password, setPassword] = useState("");
  const run = async () => {
    await welcome(token, name, password);
    window.history.replaceState(null, "", "/");
  };
  return (
    <Gate title="Welcome">
      <p class="muted">Choose how you sign in from here on. You will own this server's console.</p>
      {!token && <Note tone="warn">The link is not whole: copy all of it, with what follows the “#”.</Note>}
      <Form submit="Open the console" run={run}>
        <TextField label="Name" autocomplete="username" value={name} onInput={setName} isRequired />
        <TextField
          label="Password"
          type="password"
          autocomplete="new-password"
          value={password}
          onInput={setPassword}
          isRequired
          hasFocus
          help="At least 12 characters; a sentence is easiest to remember."
        />
      </Form>
    </Gate>
  );
}
