import { useEffect, useState } from "preact/hooks";
import { lookAtLink, redeemLink, type LinkInfo } from "../api/auth";
import { TextField } from "../ui/field";
import { Form } from "../ui/form";
import { ErrorNote, Note } from "../ui/note";
import { Gate } from "./gate";

/** Where one-time links lead. What follows "#" never reaches a server's log. */
export function Welcome() {
  const [token] = useState(() => {
    const value = new URLSearchParams(window.location.hash.slice(1)).get("token") ?? "";
    window.history.replaceState(null, "", "/welcome");
    return value;
  });
  const [info, setInfo] = useState<LinkInfo | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    if (token) lookAtLink(token).then(setInfo, setError);
  }, [token]);
  if (!token) {
    return (
      <Gate title="Welcome">
        <Note tone="warn">This link is not whole: copy all of it, with what follows the “#”.</Note>
        <a href="/" target="_self">
          Sign in instead
        </a>
      </Gate>
    );
  }
  return (
    <Gate title={info?.kind === "password" ? "A new password" : "Welcome"}>
      {error !== undefined && <ErrorNote error={error} />}
      {info && <LinkForm token={token} info={info} />}
    </Gate>
  );
}

function LinkForm({ token, info }: { token: string; info: LinkInfo }) {
  const isFirst = info.kind === "first";
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const run = async () => {
    await redeemLink({ token, password, ...(isFirst && { email }), ...(isFirst && name && { name }) });
  };
  return (
    <>
      <p class="muted">
        {isFirst
          ? "Choose how you sign in from here on. You will own this server's console."
          : `For ${info.name ?? info.email ?? "you"}. Choose a password to sign in with.`}
      </p>
      <Form submit="Open the console" run={run}>
        {isFirst && (
          <>
            <TextField
              label="E-mail address"
              type="email"
              autocomplete="username"
              value={email}
              onInput={setEmail}
              isRequired
              hasFocus
              help="Only to sign in with: no mail is sent."
            />
            <TextField
              label="Name"
              autocomplete="name"
              value={name}
              onInput={setName}
              help="What others see; optional."
            />
          </>
        )}
        <TextField
          label="Password"
          type="password"
          autocomplete="new-password"
          value={password}
          onInput={setPassword}
          isRequired
          minLength={10}
          help="At least 10 characters; a sentence is easiest to remember."
        />
      </Form>
    </>
  );
}
