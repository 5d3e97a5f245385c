import { api, take, type Schemas } from "../api/client";
import { href } from "../lib/query";
import { useMay } from "../ui/access";
import { Badge } from "../ui/badge";
import { ConfirmButton } from "../ui/confirm";
import { Dialog } from "../ui/dialog";
import { Facts } from "../ui/page";
import { Ago } from "../ui/time";

export type VoiceConnection = Schemas["VoiceConnection"];
export type VoiceCredential = Schemas["VoiceCredential"];

export function ConnectionState({ of }: { of: VoiceConnection }) {
  return <Badge tone={of.active ? "good" : "neutral"}>{of.active ? "active" : "inactive"}</Badge>;
}

export function CredentialState({ of }: { of: VoiceCredential }) {
  return <Badge tone={of.expired ? "bad" : "good"}>{of.expired ? "expired" : "live"}</Badge>;
}

/** How many clients a user has, and where they are shown. */
export function Registered({ userName, count }: { userName: string | null | undefined; count: number }) {
  if (!userName || count === 0) return <>no</>;
  return <a href={href("/registrations", { clientId: userName })}>{count === 1 ? "1 client" : `${count} clients`}</a>;
}

/** All about one connection, and its end. */
export function ConnectionDetails(props: { connection: VoiceConnection; onClose: () => void; onRemoved: () => void }) {
  const { connection } = props;
  const isOwner = useMay("owner");
  const remove = async () => {
    await take(api.DELETE("/api/v1/voice-connections/{id}", { params: { path: { id: connection.id } } }));
    props.onRemoved();
  };
  return (
    <Dialog title={connection.name} onClose={props.onClose}>
      <Facts
        of={[
          ["State", <ConnectionState key="state" of={connection} />],
          ["For", connection.kind === "clients" ? "clients that log in" : "an application without clients"],
          [
            "User name",
            <span key="user" class="mono">
              {connection.userName ?? "none"}
            </span>,
          ],
          ["Registered", <Registered key="live" userName={connection.userName} count={connection.registrations} />],
          ["Calls", connection.parksCalls ? "wait for the application" : "go where they are dialled"],
          ["Rings", connection.ringsAll ? "all clients of a user" : "the newest client of a user"],
          ["Webhook", connection.webhookUrl ?? "none"],
          ["Failover", connection.webhookFailoverUrl ?? "none"],
          ["Made", <Ago key="made" at={connection.createdAt} />],
          ["Changed", <Ago key="changed" at={connection.updatedAt} />],
        ]}
      />
      {isOwner && (
        <div class="dialog-foot">
          <ConfirmButton
            label="Remove"
            title={`Remove “${connection.name}”?`}
            consequence="Its credentials go with it. Their clients are sent away, and their calls end."
            action="Remove"
            run={remove}
          />
        </div>
      )}
    </Dialog>
  );
}

/** All about one credential, and what can be taken back. */
export function CredentialDetails(props: { credential: VoiceCredential; onClose: () => void; onChanged: () => void }) {
  const { credential } = props;
  const isOperator = useMay("operator");
  const params = { path: { id: credential.id } };
  const remove = async () => {
    await take(api.DELETE("/api/v1/voice-credentials/{id}", { params }));
    props.onChanged();
  };
  const revoke = async () => {
    await take(api.DELETE("/api/v1/voice-credentials/{id}/tokens", { params }));
    props.onChanged();
  };
  const name = credential.name || credential.userName;
  return (
    <Dialog title={name} onClose={props.onClose}>
      <Facts
        of={[
          ["State", <CredentialState key="state" of={credential} />],
          [
            "User name",
            <span key="user" class="mono">
              {credential.userName}
            </span>,
          ],
          ["Registered", <Registered key="live" userName={credential.userName} count={credential.registrations} />],
          ["Connection", credential.connectionId],
          ["Tag", credential.tag ?? "none"],
          ["Expires", <Ago key="expires" at={credential.expiresAt} />],
          ["Made", <Ago key="made" at={credential.createdAt} />],
          ["Changed", <Ago key="changed" at={credential.updatedAt} />],
        ]}
      />
      {isOperator && (
        <div class="dialog-foot">
          <ConfirmButton
            label="Take tokens back"
            title={`Take the tokens of “${name}” back?`}
            consequence="None of its tokens works from here on, and its clients are sent away. Its password still works."
            action="Take back"
            run={revoke}
          />
          <ConfirmButton
            label="Remove"
            title={`Remove “${name}”?`}
            consequence="Neither its password nor its tokens work from here on. Its clients are sent away, and their calls end."
            action="Remove"
            run={remove}
          />
        </div>
      )}
    </Dialog>
  );
}
