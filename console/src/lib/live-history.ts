/** Figures of the last minutes, as they come in. */
export class LiveHistory {
  private points: { at: number; values: number[] }[] = [];
  private readonly secondsMax: number;

  constructor(secondsMax = 300) {
    this.secondsMax = secondsMax;
  }

  /** Takes figures of a moment; what is told twice or out of order is left out. */
  add(at: number, values: number[]): void {
    const last = this.points.at(-1);
    if (last && at <= last.at) return;
    this.points = [...this.points.filter((point) => point.at > at - this.secondsMax), { at, values }];
  }

  /** One row of values per figure. The whole span is there from the beginning, so that a chart does not stretch. */
  series(): { times: number[]; values: (number | null)[][] } {
    const last = this.points.at(-1);
    if (!last) return { times: [], values: [] };
    const begin = last.at - this.secondsMax;
    const first = this.points[0];
    const lead = first && first.at > begin ? [begin] : [];
    return {
      times: [...lead, ...this.points.map((point) => point.at)],
      values: last.values.map((_, index) => [
        ...lead.map(() => null),
        ...this.points.map((point) => point.values[index] ?? null),
      ]),
    };
  }
}
