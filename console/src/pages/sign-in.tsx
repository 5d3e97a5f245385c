import { useEffect, useState } from "preact/hooks";
import { signIn, waysIn, type Ways } from "../api/auth";
import { TextField } from "../ui/field";
import { Form } from "../ui/form";
import { Note } from "../ui/note";
import { Gate } from "./gate";
import { providerProblem, toProvider, withoutProblem } from "./provider-sign-in";

export function SignIn() {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [ways, setWays] = useState<Ways | undefined>(undefined);
  const [problem] = useState(() => new URLSearchParams(window.location.search).get("signInError"));
  // Without an answer the form is there all the same, and says what is wrong when it is sent.
  useEffect(() => void waysIn().then(setWays, () => undefined), []);
  // Told once: the address is for coming back to.
  useEffect(() => {
    if (problem !== null) window.history.replaceState(null, "", withoutProblem(window.location));
  }, [problem]);
  const name = ways?.oidcName ?? "your provider";
  return (
    <Gate title="Sign in">
      {ways?.needsFirstOwner && (
        <Note>
          Nobody owns this server's console yet. Open the link that it printed when it started, or make another one on
          the server: <code>causeway console-link</code>
        </Note>
      )}
      {problem !== null && <Note tone="bad">{providerProblem(problem, name)}</Note>}
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
        <a class="button" href={toProvider(window.location)} target="_self">
          Sign in with {name}
        </a>
      )}
    </Gate>
  );
}
