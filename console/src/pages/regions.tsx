import { useState } from "preact/hooks";
import { api, take } from "../api/client";
import { formatCount } from "../lib/format";
import { useResource, type Resource } from "../lib/resource";
import { RegionMap } from "../regions/map";
import { RegionServers } from "../regions/servers";
import { regionState, regionTone, type Region } from "../regions/state";
import type { Column } from "../table/columns";
import { Filters, SearchBox } from "../table/filters";
import { WholeTable } from "../table/whole-table";
import { useMay } from "../ui/access";
import { Badge } from "../ui/badge";
import { Empty } from "../ui/empty";
import { OnlyFor } from "../ui/only-for";
import { PageHead } from "../ui/page";

const FIGURES_MS = 5000;

export function Regions() {
  const isOwner = useMay("owner");
  // Who may not mint may not list regions with their servers either; the bare list is for everybody else.
  const regions = useResource(
    `regions ${isOwner}`,
    (signal) => take(api.GET("/api/v1/regions", { params: { query: isOwner ? { nodes: true } : {} }, signal })),
    FIGURES_MS,
  );
  const placed = (regions.data ?? []).filter((region) => region.lat !== 0 || region.lon !== 0);
  return (
    <div class="stack">
      <PageHead title="Regions" about="Where relays are, whether they take calls, and the servers of each." />
      <OnlyFor role="owner" what="see the servers of a region and drain them" />
      {placed.length > 0 && (
        <div class="card card-body">
          <RegionMap regions={placed} />
        </div>
      )}
      <RegionTable regions={regions} />
    </div>
  );
}

function RegionTable({ regions }: { regions: Resource<Region[]> }) {
  const [open, setOpen] = useState<string | undefined>(undefined);
  const shown = regions.data?.find((region) => region.slug === open);
  const columns: Column<Region>[] = [
    {
      id: "name",
      title: "Region",
      cell: (region) => (
        <button type="button" class="row-link" onClick={() => setOpen(region.slug)}>
          {region.name}
        </button>
      ),
      narrow: (region) => region.slug,
      sortKey: (region) => region.name,
    },
    {
      id: "state",
      title: "State",
      width: 170,
      cell: (region) => <Badge tone={regionTone(region)}>{regionState(region)}</Badge>,
      sortKey: regionState,
    },
    {
      id: "slug",
      title: "In requests",
      width: 150,
      from: 640,
      cell: (region) => <span class="mono">{region.slug}</span>,
    },
    { id: "place", title: "Place", width: 200, from: 760, cell: placeOf },
    {
      id: "servers",
      title: "Servers",
      width: 90,
      from: 520,
      isNumber: true,
      cell: (region) => formatCount(region.nodes?.length ?? 0),
    },
    {
      id: "live",
      title: "Live",
      width: 90,
      from: 420,
      isNumber: true,
      cell: (region) => formatCount(liveSessions(region)),
      sortKey: liveSessions,
    },
    {
      id: "certificate",
      title: "Certificate",
      width: 130,
      from: 900,
      cell: (region) => <Certificate region={region} />,
    },
  ];
  return (
    <div>
      <Filters>
        <SearchBox name="q" label="Regions whose name has …" />
      </Filters>
      <WholeTable
        resource={regions}
        noun="region"
        columns={columns}
        idOf={(region) => region.slug}
        textOf={(region) => `${region.slug} ${region.name} ${region.city}`}
        empty={<Empty title="No regions">A server without regions of its own is the region “local”.</Empty>}
        nothing={<Empty title="No region fits the search" />}
      />
      {shown && <RegionServers region={shown} onClose={() => setOpen(undefined)} onChanged={regions.reload} />}
    </div>
  );
}

function placeOf(region: Region): string {
  return region.nat2 === "ZZ" ? "not given" : `${region.city}, ${region.nat2}`;
}

function liveSessions(region: Region): number {
  return (region.nodes ?? []).reduce((sum, node) => sum + node.live_sessions, 0);
}

/** The days of the certificate that ends first. */
function Certificate({ region }: { region: Region }) {
  const days = (region.nodes ?? []).flatMap((node) => node.certificate_days_left ?? []);
  if (days.length === 0) return <span class="muted">none trusted</span>;
  const least = Math.min(...days);
  return <Badge tone={least < 3 ? "bad" : least < 14 ? "warn" : "good"}>{`${least} days left`}</Badge>;
}
