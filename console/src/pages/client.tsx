import { useRoute } from "preact-iso";
import { api, take } from "../api/client";
import { ApiError } from "../api/error";
import { formatBytes, formatCount } from "../lib/format";
import { href } from "../lib/query";
import { useResource } from "../lib/resource";
import { useMay } from "../ui/access";
import { LiveBadge } from "../ui/badge";
import { Empty } from "../ui/empty";
import { LinkOut } from "../ui/link-out";
import { ErrorNote } from "../ui/note";
import { PageHead, Stat } from "../ui/page";
import { Ago } from "../ui/time";
import { EraseButton } from "./erase";
import { RevokeButton } from "./revoke";
import { SessionList } from "./session-list";

const FIGURES_MS = 2000;

export function ClientPage() {
  const client = useRoute().params["client"] ?? "";
  const isOperator = useMay("operator");
  const { data, error, reload } = useResource(
    `client ${client}`,
    (signal) => take(api.GET("/api/v1/clients/{client}", { params: { path: { client } }, signal })),
    FIGURES_MS,
  );
  if (!data) {
    if (error instanceof ApiError && error.isMissing) {
      return <Empty title={`No client ${client}`}>It was never named by a credential, or its data was deleted.</Empty>;
    }
    return error === undefined ? <PageHead title={client} /> : <ErrorNote error={error} retry={reload} />;
  }
  return (
    <div class="stack">
      <PageHead
        title={client}
        badge={<LiveBadge isLive={data.activeSessions > 0} />}
        about={`Appeared as ${data.roles.join(" and ") || "no role"}`}
        actions={
          <>
            <EraseButton kind="client" name={client} />
            <LinkOut kind="client" name={client} />
            {isOperator && (
              <RevokeButton label="End and revoke" what={`the client ${client}`} request={{ client }} onDone={reload} />
            )}
          </>
        }
      />
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      <div class="stats">
        <Stat
          label="Sessions"
          value={formatCount(data.sessions)}
          hint={`${formatCount(data.activeSessions)} live`}
          href={href("/sessions", { client })}
        />
        <Stat label="From the client" value={formatBytes(data.bytesIn)} />
        <Stat label="To the client" value={formatBytes(data.bytesOut)} />
        <Stat label="First seen" value={<Ago at={data.firstSeen} />} />
        <Stat label="Last seen" value={<Ago at={data.lastSeen} />} />
        <Stat label="Credentials" value="Show" href={href("/credentials", { client })} />
      </div>
      <h2>Sessions</h2>
      <SessionList of={{ client }} />
    </div>
  );
}
