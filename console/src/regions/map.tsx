import { COLUMNS, landPoints, project, ROW_COUNT } from "./land";
import { regionTone, type Region } from "./state";

const LAND = landPoints();

/** The regions on a map of the world, drawn here: nothing is fetched from elsewhere. */
export function RegionMap({ regions }: { regions: Region[] }) {
  const label = `Map with ${regions.map((region) => region.name).join(", ")}`;
  return (
    <svg class="map" viewBox={`-1 -1 ${COLUMNS + 1} ${ROW_COUNT + 1}`} role="img" aria-label={label}>
      <g class="land">
        {LAND.map(({ x, y }) => (
          <circle key={`${x} ${y}`} cx={x} cy={y} r={0.3} />
        ))}
      </g>
      {regions.map((region) => {
        const { x, y } = project(region.lat, region.lon);
        return (
          <g key={region.slug} class={`place ${regionTone(region)}`}>
            <circle class="halo" cx={x} cy={y} r={1.5} />
            <circle cx={x} cy={y} r={0.75} />
            <text x={x} y={y - 2} text-anchor={x < 8 ? "start" : x > COLUMNS - 8 ? "end" : "middle"}>
              {region.city || region.name}
            </text>
          </g>
        );
      })}
    </svg>
  );
}
