import { api, take, type Schemas } from "../api/client";
import { href } from "../lib/query";
import { useMay } from "../ui/access";
import { ConfirmButton } from "../ui/confirm";
import { Dialog } from "../ui/dialog";
import { Facts } from "../ui/page";
import { Ago } from "../ui/time";
import { stateOf, TokenState } from "./token-state";

type Token = Schemas["Token"];

/** All about one token, and what can be done with it. */
export function TokenDetails(props: {
  token: Token;
  onClose: () => void;
  onChanged: () => void;
  onRotate: () => void;
}) {
  const { token } = props;
  const isOwner = useMay("owner");
  const revoke = async () => {
    await take(api.DELETE("/api/v1/tokens/{id}", { params: { path: { id: token.id } } }));
    props.onChanged();
  };
  return (
    <Dialog title={token.name} onClose={props.onClose}>
      <Facts
        of={[
          ["State", <TokenState key="state" of={token} />],
          [
            "Begins with",
            <span key="prefix" class="mono">
              {token.prefix}…
            </span>,
          ],
          ["May", token.scopes.join(", ")],
          ["For", token.organizationWide ? "every project" : "this project"],
          ["Made", <Ago key="made" at={token.createdAt} />],
          ["Last used", <Ago key="used" at={token.lastUsedAt} />],
          ["Expires", <Ago key="expires" at={token.expiresAt} />],
          [
            "Credentials",
            <a key="minted" href={href("/credentials", { token: String(token.id) })}>
              minted with it
            </a>,
          ],
        ]}
      />
      {isOwner && stateOf(token) === "active" && (
        <div class="dialog-foot">
          <ConfirmButton
            label="Revoke"
            title={`Revoke “${token.name}”?`}
            consequence="Requests with it are refused from here on. Credentials that it minted stay good."
            action="Revoke"
            run={revoke}
          />
          <button type="button" class="button" onClick={props.onRotate}>
            Rotate
          </button>
        </div>
      )}
    </Dialog>
  );
}
