import { useState } from "preact/hooks";
import { api, take } from "../api/client";
import { FromServer } from "../doctor/from-server";
import { Results } from "../doctor/results";
import { useRun } from "../doctor/run";
import { ShareDialog } from "../doctor/share-dialog";
import { useMay } from "../ui/access";
import { Empty } from "../ui/empty";
import { Icon } from "../ui/icon";
import { OnlyFor } from "../ui/only-for";
import { PageHead } from "../ui/page";

/** Long enough for all trials, short enough to be worth nothing afterwards. */
const CREDENTIAL_SECS = 120;

export function Doctor() {
  const [isSharing, setSharing] = useState(false);
  const isOperator = useMay("operator");
  const run = useRun(async (signal) => {
    const body = { ttl: CREDENTIAL_SECS };
    return (await take(api.POST("/api/v1/credentials/ice", { body, signal }))).iceServers;
  });
  return (
    <div class="stack">
      <PageHead
        title="Connection doctor"
        about="Tries every address that this server advertises, one by one, from this browser: whether the relay answers, whether data flows through it, and how fast."
        actions={
          isOperator && (
            <>
              <button type="button" class="button" onClick={() => setSharing(true)}>
                <Icon name="link" /> Link for somebody else
              </button>
              <button type="button" class="button primary" disabled={run.state === "running"} onClick={run.start}>
                {run.state === "idle" ? "Examine" : run.state === "running" ? "Examining …" : "Examine again"}
              </button>
            </>
          )
        }
      />
      <OnlyFor role="operator" what="examine the connection: the doctor mints a credential" />
      {run.state === "idle" ? (
        <div class="card">
          <Empty title="Nothing examined yet">
            A credential of two minutes is minted, and each URL is tried for a few seconds. Nothing but this relay is
            contacted.
          </Empty>
        </div>
      ) : (
        <Results run={run} />
      )}
      {isOperator && <FromServer />}
      {isSharing && <ShareDialog onClose={() => setSharing(false)} />}
    </div>
  );
}
