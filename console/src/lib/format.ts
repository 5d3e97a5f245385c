/** How figures are written everywhere. Bytes are decimal, as networks and bills count them. */

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? ""}`;
}

export function formatBitrate(bitsPerSecond: number): string {
  return `${formatBytes(bitsPerSecond).replace("B", "bit")}/s`;
}

const count = new Intl.NumberFormat("en");

export function formatCount(value: number): string {
  return count.format(value);
}

/** "850 ms", "4.2 s", "12 min 5 s", "3 h 20 min", "2 d 4 h": two units at most. */
export function formatDuration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms > 0 && ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return two(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return two(hours, "h", minutes % 60, "min");
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** "just now", "8 s ago", "in 5 min": one unit. */
export function formatRelative(at: number, now: number): string {
  const ms = now - at;
  const distance = Math.abs(ms);
  if (distance < 1500) return "just now";
  const text =
    distance < 59_500
      ? `${Math.round(distance / 1000)} s`
      : distance < 3_570_000
        ? `${Math.round(distance / 60_000)} min`
        : distance < 36 * 3_600_000
          ? `${Math.round(distance / 3_600_000)} h`
          : `${Math.round(distance / 86_400_000)} d`;
  return ms >= 0 ? `${text} ago` : `in ${text}`;
}

const dateTime = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { month: "short", day: "numeric" });

export function formatDateTime(at: number): string {
  return dateTime.format(at);
}

export function formatClock(at: number): string {
  return clock.format(at);
}

/** A clock time, with the day where it is not today. */
export function formatMoment(at: number, now: number): string {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  return isToday ? formatClock(at) : `${day.format(at)} ${formatClock(at)}`;
}

export function formatShare(share: number): string {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

export function plural(n: number, one: string, many = pluralOf(one)): string {
  return `${formatCount(n)} ${n === 1 ? one : many}`;
}

/** "entries" of "entry", "sessions" of "session". */
export function pluralOf(noun: string): string {
  return /[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`;
}

export function formatPrice(amount: number, currency: string | null): string {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: amount < 1 ? 4 : 2 };
  return `${new Intl.NumberFormat("en", digits).format(amount)}${currency ? ` ${currency}` : ""}`;
}

/** As it begins a sentence or stands alone. Not for names: those are what they are. */
export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A message of the API as a sentence of its own. One that begins with a field keeps the field's name. */
export function asRemark(message: string): string {
  const text = /^\w+:/.test(message) ? message : capitalised(message);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
