import { useRoute } from "preact-iso";
import { api, take } from "../api/client";
import { ApiError } from "../api/error";
import { formatCount, formatDateTime } from "../lib/format";
import { href, to } from "../lib/query";
import { useResource } from "../lib/resource";
import { useMay } from "../ui/access";
import { ConfirmButton } from "../ui/confirm";
import { ErrorNote } from "../ui/note";
import { OnlyFor } from "../ui/only-for";
import { Card, Facts, PageHead } from "../ui/page";
import { Ago } from "../ui/time";
import { CredentialState, holder, limitsText } from "./credentials";
import { SessionList } from "./session-list";

const FIGURES_MS = 4000;

export function CredentialPage() {
  const username = useRoute().params["username"] ?? "";
  const isOperator = useMay("operator");
  const { data, error, reload } = useResource(
    `credential ${username}`,
    (signal) => take(api.GET("/api/v1/credentials/{username}", { params: { path: { username } }, signal })),
    FIGURES_MS,
  );
  const revoke = async () => {
    await take(
      api.DELETE("/api/v1/credentials/{username}", { params: { path: { username }, query: { sessions: "end" } } }),
    );
    reload();
  };
  if (!data) {
    if (error instanceof ApiError && error.isMissing) {
      // TURN REST names and static users have sessions without a row of their own.
      return (
        <div class="stack">
          <PageHead
            title={username}
            about="Not issued by this server: a TURN REST name or a static user. Its sessions are below."
            actions={
              isOperator && (
                <ConfirmButton
                  label="Revoke"
                  title="Revoke this name?"
                  consequence="It opens nothing from here on, and its live sessions end at once."
                  action="Revoke"
                  run={revoke}
                />
              )
            }
          />
          <SessionList of={{ username }} />
        </div>
      );
    }
    return error === undefined ? <PageHead title="Credential" /> : <ErrorNote error={error} retry={reload} />;
  }
  return (
    <div class="stack">
      <PageHead
        title={holder(data) || username}
        badge={<CredentialState of={data} />}
        about={<span class="mono">{username}</span>}
        actions={
          data.state !== "revoked" &&
          isOperator && (
            <ConfirmButton
              label="Revoke"
              title="Revoke this credential?"
              consequence="It opens nothing from here on, and its live sessions end at once."
              action="Revoke"
              run={revoke}
            />
          )
        }
      />
      <OnlyFor role="operator" what="revoke credentials" />
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      <Card title="What it is">
        <Facts
          of={[
            ["Room", data.room ? <a href={to.room(data.room)}>{data.room}</a> : "none"],
            [
              "Initiator",
              data.initiatorClient ? <a href={to.client(data.initiatorClient)}>{data.initiatorClient}</a> : "none",
            ],
            [
              "Receiver",
              data.receiverClient ? <a href={to.client(data.receiverClient)}>{data.receiverClient}</a> : "none",
            ],
            ["Held by", data.clientType ?? "both may"],
            ["Issued", <Moment key="issued" at={data.issuedAt} />],
            ["Expires", <Moment key="expires" at={data.expiresAt} />],
            ...(data.revokedAt
              ? [["Revoked", <Moment key="revoked" at={data.revokedAt} />] as [string, preact.JSX.Element]]
              : []),
            [
              "Minted with",
              <a key="token" href={href("/credentials", { token: String(data.tokenId) })}>
                token {data.tokenId}
              </a>,
            ],
            ["Region", data.region],
            ["Limits", limitsText(data) || "none of its own"],
            ["Live sessions", formatCount(data.activeSessions)],
            ["Metadata", data.metadata ? <pre key="metadata">{JSON.stringify(data.metadata, null, 2)}</pre> : "none"],
          ]}
        />
      </Card>
      <h2>Sessions</h2>
      <SessionList of={{ username }} />
    </div>
  );
}

function Moment({ at }: { at: string }) {
  return (
    <>
      {formatDateTime(Date.parse(at))}{" "}
      <span class="muted">
        (<Ago at={at} />)
      </span>
    </>
  );
}
