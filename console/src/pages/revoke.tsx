import { api, take, type Schemas } from "../api/client";
import { plural } from "../lib/format";
import { ConfirmButton } from "../ui/confirm";
import { say } from "../ui/toast";

/** Takes back all credentials of a room, client or token and ends their sessions. */
export function RevokeButton(props: {
  label: string;
  what: string;
  request: Schemas["RevokeRequest"];
  onDone: () => void;
}) {
  const run = async () => {
    const answer = await take(api.POST("/api/v1/credentials/revoke", { body: props.request }));
    say(`${plural(answer.revoked, "credential")} revoked, ${plural(answer.sessionsEnded, "session")} ended.`);
    props.onDone();
  };
  return (
    <ConfirmButton
      label={props.label}
      title={`${props.label}?`}
      consequence={`Every credential of ${props.what} stops working, and its live sessions end at once. Your application can mint new ones.`}
      action={props.label}
      run={run}
    />
  );
}
