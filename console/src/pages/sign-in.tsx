import { useEffect, useState } from "preact/hooks";
import { signIn, waysIn, type Ways } from "../api/auth";
import { TextField } from "../ui/field";
import { Form } from "../ui/form";
import { Note } from "../ui/note";
import { Gate } from "./gate";

export function SignIn() {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [ways, setWays] = useState<Ways | undefined>(undefined);
  // Without an answer the form is there all the same, and says what is wrong when it is sent.
  useEffect(() => void waysIn().then(setWays, () => undefined), []);
  return (
    <Gate title="Sign in">
      {ways?.needsFirstOwner && (
        <Note>Nobody owns this server's console yet. Open the link that it printed when it started.</Note>
      )}
      <Form submit="Sign in" run={() => signIn(email, password)}>
        <TextField
          label="E-mail address"
          type="email"
          autocomplete="username"
          value={email}
          onInput={setEmail}
          isRequired
          hasFocus
        />
        <TextField
          label="Password"
          type="password"
          autocomplete="current-password"
          value={password}
          onInput={setPassword}
          isRequired
        />
      </Form>
      {ways?.methods.includes("oidc") && (
        <a class="button" href="/api/v1/auth/oidc" target="_self">
          Sign in with {ways.oidcName ?? "your provider"}
        </a>
      )}
    </Gate>
  );
}
