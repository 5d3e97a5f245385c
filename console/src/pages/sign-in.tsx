import { useState } from "preact/hooks";
import { signIn } from "../api/auth";
import { TextField } from "../ui/field";
import { Form } from "../ui/form";
import { Gate } from "./gate";

export function SignIn() {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  return (
    <Gate title="Sign in">
      <Form submit="Sign in" run={() => signIn(name, password)}>
        <TextField label="Name" autocomplete="username" value={name} onInput={setName} isRequired hasFocus />
        <TextField
          label="Password"
          type="password"
          autocomplete="current-password"
          value={password}
          onInput={setPassword}
          isRequired
        />
      </Form>
      <p class="muted">
        First time here? The server printed a one-time link when it first started. <code>causeway users reset</code>{" "}
        prints another.
      </p>
    </Gate>
  );
}
