import { api, take } from "../api/client";
import { useResource } from "../lib/resource";
import { RegionMap } from "../regions/map";
import { regionState, regionTone, type Region } from "../regions/state";
import type { Column } from "../table/columns";
import { Filters, SearchBox } from "../table/filters";
import { WholeTable } from "../table/whole-table";
import { Badge } from "../ui/badge";
import { Empty } from "../ui/empty";
import { PageHead } from "../ui/page";

const FIGURES_MS = 5000;

const COLUMNS: Column<Region>[] = [
  {
    id: "name",
    title: "Region",
    cell: (region) => region.name,
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
  { id: "place", title: "Place", width: 200, from: 760, cell: (region) => `${region.city}, ${region.nat2}` },
];

export function Regions() {
  const regions = useResource("regions", (signal) => take(api.GET("/api/v1/regions", { signal })), FIGURES_MS);
  return (
    <div class="stack">
      <PageHead title="Regions" about="Where relays are, and whether they take calls." />
      {regions.data && regions.data.length > 0 && (
        <div class="card card-body">
          <RegionMap regions={regions.data} />
        </div>
      )}
      <div>
        <Filters>
          <SearchBox name="q" label="Regions whose name has …" />
        </Filters>
        <WholeTable
          resource={regions}
          noun="region"
          columns={COLUMNS}
          idOf={(region) => region.slug}
          textOf={(region) => `${region.slug} ${region.name} ${region.city}`}
          empty={<Empty title="No regions" />}
          nothing={<Empty title="No region fits the search" />}
        />
      </div>
    </div>
  );
}
