import { useMemo } from "preact/hooks";
import { api, take, type Schemas } from "../api/client";
import { useSettings, type Settings } from "../api/settings";
import { Chart } from "../chart/chart";
import { download } from "../lib/download";
import { capitalised, formatBytes, formatCount, formatDuration, formatPrice } from "../lib/format";
import { href, to, useQuery } from "../lib/query";
import { useResource } from "../lib/resource";
import { chartOf, costOf, groupsOf, toCsv, totalOf, type Prices, type UsageSum } from "../lib/usage";
import type { Column } from "../table/columns";
import { Choice, Filters, Segments } from "../table/filters";
import { WholeTable } from "../table/whole-table";
import { mintCommand } from "../ui/commands";
import { Empty } from "../ui/empty";
import { Icon } from "../ui/icon";
import { ErrorNote } from "../ui/note";
import { Card, PageHead, Stat } from "../ui/page";

type UsageRow = Schemas["UsageRow"];

const HOUR = 3600;
const DAY = 24 * HOUR;
const RANGES: Record<string, { text: string; seconds: number; interval: "hour" | "day" }> = {
  "": { text: "24 hours", seconds: DAY, interval: "hour" },
  "7d": { text: "7 days", seconds: 7 * DAY, interval: "hour" },
  "30d": { text: "30 days", seconds: 30 * DAY, interval: "day" },
  "365d": { text: "A year", seconds: 365 * DAY, interval: "day" },
};
const FIGURES_MS = 10_000;
const SERIES_MAX = 6;

export function Usage() {
  const query = useQuery();
  const group = query.get("by");
  const range = RANGES[query.get("range")] ?? RANGES[""];
  const interval = query.get("interval") || range?.interval || "hour";
  const step = interval === "day" ? DAY : HOUR;
  const seconds = range?.seconds ?? DAY;
  const usage = useResource(
    `usage ${group} ${seconds} ${interval}`,
    async (signal) => {
      // Whole intervals, so that their figures are those of the API for the same hours or days.
      const end = Math.ceil(Date.now() / 1000 / step) * step;
      const from = end - Math.max(seconds, step);
      const rows = await take(
        api.GET("/api/v1/usage", {
          params: {
            query: { from: iso(from), to: iso(end), interval, ...(group && { group_by: group }) },
          },
          signal,
        }),
      );
      return { rows, from, to: end };
    },
    FIGURES_MS,
  );
  const rows = usage.data?.rows ?? [];
  const chart = useMemo(
    () =>
      usage.data &&
      chartOf(
        rows,
        { from: usage.data.from, to: usage.data.to, step },
        (row) => row.bytesIn + row.bytesOut,
        SERIES_MAX,
      ),
    [usage.data],
  );
  const total = totalOf(rows);
  const settings = useSettings();
  const prices = pricesOf(settings);
  return (
    <div class="stack">
      <PageHead
        title="Usage"
        about="What was carried, in UTC. The totals are the sums of the sessions."
        actions={<Downloads rows={rows} />}
      />
      <Filters>
        <Segments name="range" label="Time" of={Object.entries(RANGES).map(([name, one]) => [name, one.text])} />
        <Choice
          name="interval"
          label="Interval"
          of={[
            ["", `By ${range?.interval ?? "hour"}`],
            ["hour", "By hour"],
            ["day", "By day"],
          ]}
        />
        <Choice
          name="by"
          label="Grouped by"
          of={[
            ["", "All together"],
            ["room", "By room"],
            ["client", "By client"],
            ["region", "By region"],
            ["token", "By token"],
            ["transport", "By transport"],
          ]}
        />
      </Filters>
      {usage.error !== undefined && <ErrorNote error={usage.error} retry={usage.reload} />}
      <div class="stats">
        <Stat label="From clients" value={formatBytes(total.bytesIn)} />
        <Stat label="To clients" value={formatBytes(total.bytesOut)} />
        <Stat label="Sessions begun" value={formatCount(total.sessions)} />
        {prices && (
          <Stat
            label="Estimated cost"
            value={formatPrice(costOf(total, prices), settings?.currency ?? null)}
            hint={`${prices.perGigabyte} per GB, ${prices.perMinute} per minute`}
          />
        )}
        <Stat label="Session time" value={formatDuration(total.seconds * 1000)} />
      </div>
      {chart && chart.series.length > 0 && (
        <Card title={`Bytes by ${interval}`} about="Both directions together.">
          <Chart
            times={chart.times}
            series={chart.series.map((series) => ({ ...series, label: nameOf(series.label, group) }))}
            format={formatBytes}
            kind={chart.series.length === 1 ? "bars" : "line"}
            label={`${formatBytes(total.bytesIn + total.bytesOut)} in ${chart.times.length} intervals; the table below has the figures`}
          />
        </Card>
      )}
      <WholeTable
        resource={{ ...usage, error: undefined, data: usage.data && groupsOf(rows) }}
        noun="group"
        columns={columnsFor(group)}
        idOf={(sum) => sum.key}
        {...(linkOf(group) && { hrefOf: linkOf(group) as (sum: UsageSum) => string })}
        empty={
          <Empty title="Nothing was carried in this time" command={mintCommand()}>
            Usage begins with the first session:
          </Empty>
        }
      />
    </div>
  );
}

function pricesOf(settings: Settings | undefined): Prices | undefined {
  if (!settings || (settings.pricePerGb == null && settings.pricePerMinute == null)) return undefined;
  return { perGigabyte: Number(settings.pricePerGb ?? 0), perMinute: Number(settings.pricePerMinute ?? 0) };
}

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function nameOf(key: string, group: string): string {
  if (key) return key;
  return group ? `no ${group}` : "all";
}

function linkOf(group: string): ((sum: UsageSum) => string) | undefined {
  if (group === "room") return (sum) => (sum.key ? to.room(sum.key) : "/rooms");
  if (group === "client") return (sum) => (sum.key ? to.client(sum.key) : "/clients");
  if (group === "token") return (sum) => href("/credentials", { token: sum.key });
  return undefined;
}

function columnsFor(group: string): Column<UsageSum>[] {
  return [
    {
      id: "key",
      title: capitalised(group || "group"),
      cell: (sum) => nameOf(sum.key, group),
      sortKey: (sum) => sum.key,
    },
    {
      id: "in",
      title: "In",
      width: 100,
      isNumber: true,
      cell: (sum) => formatBytes(sum.bytesIn),
      sortKey: (sum) => sum.bytesIn,
    },
    {
      id: "out",
      title: "Out",
      width: 100,
      isNumber: true,
      cell: (sum) => formatBytes(sum.bytesOut),
      sortKey: (sum) => sum.bytesOut,
    },
    {
      id: "sessions",
      title: "Sessions",
      width: 110,
      from: 560,
      isNumber: true,
      cell: (sum) => formatCount(sum.sessions),
      sortKey: (sum) => sum.sessions,
    },
    {
      id: "time",
      title: "Session time",
      width: 140,
      from: 680,
      isNumber: true,
      cell: (sum) => formatDuration(sum.seconds * 1000),
      sortKey: (sum) => sum.seconds,
    },
  ];
}

function Downloads({ rows }: { rows: UsageRow[] }) {
  return (
    <>
      <button type="button" class="button" onClick={() => download("usage.csv", "text/csv", toCsv(rows))}>
        <Icon name="download" /> CSV
      </button>
      <button
        type="button"
        class="button"
        onClick={() => download("usage.json", "application/json", JSON.stringify(rows, null, 2))}
      >
        <Icon name="download" /> JSON
      </button>
    </>
  );
}
