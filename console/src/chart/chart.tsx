import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useStore } from "../lib/store";
import { theme } from "../shell/theme";

export interface Series {
  label: string;
  values: (number | null)[];
}

export interface ChartProps {
  /** Seconds since 1970, one per value. */
  times: number[];
  series: Series[];
  /** How values are written at the axis and in the legend. */
  format: (value: number) => string;
  /** What the chart shows, for those who cannot see it. */
  label: string;
  kind?: "line" | "bars";
  height?: number;
  isSmall?: boolean;
}

const COLOURS = 6;
/** Least pixels from one moment at the axis to the next: the longest, with seconds, takes 52 of them. */
const TICK_SPACE = 76;
/** In the legend, where there is no value to tell. */
const NO_VALUE = "–";

/** A chart over time, drawn by uPlot in the colours of the theme. */
export function Chart(props: ChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const chosen = useStore(theme);
  const shape = JSON.stringify([props.series.map((series) => series.label), props.kind, props.isSmall, chosen]);
  const data: uPlot.AlignedData = [props.times, ...props.series.map((series) => series.values)];
  const latest = useRef({ props, data });
  latest.current = { props, data };

  useEffect(() => {
    const element = holder.current;
    if (!element) return;
    const make = () => {
      chart.current?.destroy();
      chart.current = new uPlot(options(latest.current.props, element), latest.current.data, element);
    };
    make();
    const observer = new ResizeObserver(() =>
      chart.current?.setSize({ width: element.clientWidth, height: heightOf(latest.current.props) }),
    );
    observer.observe(element);
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    return () => {
      observer.disconnect();
      dark.removeEventListener("change", make);
      chart.current?.destroy();
      chart.current = undefined;
    };
  }, [shape]);
  useEffect(() => chart.current?.setData(data), [data]);
  return <div ref={holder} class={`chart ${props.isSmall ? "small" : ""}`} role="img" aria-label={props.label} />;
}

function heightOf(props: ChartProps): number {
  return props.height ?? (props.isSmall ? 64 : 240);
}

function options(props: ChartProps, element: HTMLElement): uPlot.Options {
  const style = (name: string) => resolved(element, name);
  const [text, line] = [style("--text-3"), style("--line")];
  const font = `12px ${getComputedStyle(element).fontFamily}`;
  const axis = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
  const bars = uPlot.paths.bars;
  const isBars = props.kind === "bars" && bars;
  return {
    width: element.clientWidth,
    height: heightOf(props),
    ...(props.isSmall && { padding: [4, 0, 0, 0] }),
    legend: { show: !props.isSmall, live: true },
    cursor: { show: !props.isSmall, points: { size: 7 }, drag: { setScale: false, x: false, y: false } },
    scales: {
      // One moment alone would be put in the middle of years.
      x: { range: (self, min, max) => (self.data[0].length > 1 ? [min, max] : [min - 30, min + 30]) },
      // Nothing at all: steps that are told apart when they are rounded.
      y: { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 100] },
    },
    axes: props.isSmall
      ? [{ show: false }, { show: false }]
      : [
          { ...axis, space: TICK_SPACE, values: (_, splits, __, ___, step) => splits.map((at) => tick(at, step)) },
          { ...axis, size: 78, values: (_, splits) => splits.map(props.format) },
        ],
    series: [
      { value: (_: uPlot, at: number | null) => (at === null ? NO_VALUE : moment.format(at * 1000)) },
      ...props.series.map((series, index) => {
        const colour = style(`--series-${(index % COLOURS) + 1}`);
        return {
          label: series.label,
          stroke: colour,
          width: isBars ? 0 : 1.75,
          fill: isBars ? colour : `color-mix(in srgb, ${colour} 10%, transparent)`,
          points: { show: (self: uPlot) => self.data[0].length === 1 },
          value: (_: uPlot, value: number | null) => (value === null ? NO_VALUE : props.format(value)),
          ...(isBars && { paths: bars({ size: [0.7, 48] }) }),
        };
      }),
    ],
  };
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const moment = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

function tick(at: number, step: number): string {
  const date = new Date(at * 1000);
  if (step >= 86_400 || (date.getHours() === 0 && date.getMinutes() === 0 && step >= 3600)) return day.format(date);
  return (step < 60 ? seconds : clock).format(date);
}

/** A colour of the theme as a canvas understands it. */
function resolved(element: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
