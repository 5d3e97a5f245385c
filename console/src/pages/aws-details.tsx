import { useState } from "preact/hooks";
import { api, take, type Schemas } from "../api/client";
import { href } from "../lib/query";
import { useMay } from "../ui/access";
import { Badge } from "../ui/badge";
import { ConfirmButton } from "../ui/confirm";
import { Dialog } from "../ui/dialog";
import { ErrorNote } from "../ui/note";
import { Facts } from "../ui/page";
import { Ago } from "../ui/time";
import type { Made } from "./aws-dialogs";
import { stateOf } from "./token-state";

export type AccessKey = Schemas["AccessKey"];

/** What a key is restricted to, in words. */
export function restrictions(key: AccessKey): string {
  return [key.channel && `channels ${key.channel}`, key.clientId && `client ${key.clientId}`]
    .filter(Boolean)
    .join(", ");
}

export function KeyState({ of }: { of: AccessKey }) {
  const state = of.configured ? "configured" : stateOf(of);
  return <Badge tone={state === "active" ? "good" : state === "revoked" ? "bad" : "neutral"}>{state}</Badge>;
}

/** All about one access key, and what can be done with it. */
export function AccessKeyDetails(props: {
  accessKey: AccessKey;
  isTemporary: boolean;
  onClose: () => void;
  onChanged: () => void;
  onRotated: (made: Made) => void;
}) {
  const { accessKey, isTemporary } = props;
  const [error, setError] = useState<unknown>(undefined);
  const isOwner = useMay("owner");
  const params = { path: { id: accessKey.id } };
  const revoke = async () => {
    await take(api.DELETE("/api/v1/aws/access-keys/{id}", { params }));
    props.onChanged();
  };
  const rotate = () =>
    take(api.POST("/api/v1/aws/access-keys/{id}/rotate", { params, body: {} })).then(props.onRotated, setError);
  const isLive = !accessKey.configured && stateOf(accessKey) === "active";
  return (
    <Dialog title={accessKey.name || accessKey.id} onClose={props.onClose}>
      <Facts
        of={[
          ["State", <KeyState key="state" of={accessKey} />],
          [
            "Access key id",
            <span key="id" class="mono">
              {accessKey.id}
            </span>,
          ],
          ["May act as", accessKey.preset],
          ["Channels", accessKey.channel ?? "all"],
          ["Client", accessKey.clientId ?? "any"],
          ["Made", <Ago key="made" at={accessKey.createdAt} />],
          ["Expires", <Ago key="expires" at={accessKey.expiresAt} />],
          [
            "Relay credentials",
            <a key="minted" href={href("/credentials", { token: String(accessKey.tokenId) })}>
              {isTemporary ? "of the token that minted it" : "minted with it"}
            </a>,
          ],
        ]}
      />
      {accessKey.configured && <p>It stands in the server's configuration, where alone it can be changed.</p>}
      {error !== undefined && <ErrorNote error={error} />}
      {isOwner && isLive && (
        <div class="dialog-foot">
          <ConfirmButton
            label="Revoke"
            title={`Revoke “${accessKey.name || accessKey.id}”?`}
            consequence="Requests signed with it are refused from here on. Relay credentials that it minted stay good."
            action="Revoke"
            run={revoke}
          />
          {!isTemporary && (
            <button type="button" class="button" onClick={() => void rotate()}>
              Rotate
            </button>
          )}
        </div>
      )}
    </Dialog>
  );
}
