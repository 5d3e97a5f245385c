import { api, take } from "../api/client";
import { plural } from "../lib/format";
import { useMay } from "../ui/access";
import { Badge } from "../ui/badge";
import { ConfirmButton } from "../ui/confirm";
import { Dialog } from "../ui/dialog";
import { Empty } from "../ui/empty";
import { Facts } from "../ui/page";
import { Ago } from "../ui/time";
import type { Region } from "./state";

type Server = NonNullable<Region["nodes"]>[number];

/** The servers of a region, and the switches that take them out of service and back. */
export function RegionServers(props: { region: Region; onClose: () => void; onChanged: () => void }) {
  const { region } = props;
  const isOwner = useMay("owner");
  const servers = region.nodes ?? [];
  return (
    <Dialog title={region.name} onClose={props.onClose} isWide>
      {isOwner && (
        <div class="row spread">
          <span>{region.is_drained ? "The whole region is drained." : "The region is in service."}</span>
          <DrainSwitch slug={region.slug} isDrained={region.is_drained ?? false} onChanged={props.onChanged} />
        </div>
      )}
      {servers.length === 0 && <Empty title="No servers known">Owners see them as soon as one tells of itself.</Empty>}
      {servers.map((server) => (
        <section key={server.name} class="card card-body stack">
          <div class="row spread">
            <h3>{server.name}</h3>
            <ServerState server={server} />
          </div>
          <Facts
            of={[
              ["Live sessions", plural(server.live_sessions, "session")],
              ["Certificate", certificateText(server.certificate_days_left)],
              ["Version", server.version],
              ["Running since", <Ago key="since" at={server.started_at} />],
              ["Last heard of", <Ago key="seen" at={server.seen_at} />],
              [
                "Clients get",
                server.urls.map((url) => (
                  <div key={url} class="mono">
                    {url}
                  </div>
                )),
              ],
            ]}
          />
          {isOwner && !region.is_drained && (
            <div>
              <DrainSwitch
                slug={region.slug}
                node={server.name}
                isDrained={server.is_drained}
                onChanged={props.onChanged}
              />
            </div>
          )}
        </section>
      ))}
    </Dialog>
  );
}

function ServerState({ server }: { server: Server }) {
  if (!server.is_online) return <Badge tone="bad">does not answer</Badge>;
  if (server.is_drained) return <Badge tone="warn">drained</Badge>;
  return <Badge tone={server.is_operational ? "good" : "warn"}>{server.state}</Badge>;
}

function certificateText(days: number | null | undefined): string {
  if (days == null) return "none that browsers trust";
  return days < 0 ? "expired" : `${plural(days, "day")} left`;
}

function DrainSwitch(props: { slug: string; node?: string; isDrained: boolean; onChanged: () => void }) {
  const what = props.node === undefined ? "region" : "server";
  const request = {
    params: { path: { region: props.slug } },
    body: props.node === undefined ? {} : { node: props.node },
  };
  const run = async () => {
    await take(
      props.isDrained
        ? api.POST("/api/v1/regions/{region}/undrain", request)
        : api.POST("/api/v1/regions/{region}/drain", request),
    );
    props.onChanged();
  };
  if (props.isDrained) {
    return (
      <ConfirmButton
        label="Put back"
        isSmall
        title={`Put the ${what} back into service?`}
        consequence="It takes new calls from here on."
        action="Put it back"
        run={run}
      />
    );
  }
  return (
    <ConfirmButton
      label={`Drain the ${what}`}
      isSmall
      title={`Drain the ${what}?`}
      consequence="New credentials name other servers, and new calls are refused here. Calls that go on are left alone. It stays so over restarts until you put it back."
      action="Drain it"
      run={run}
    />
  );
}
