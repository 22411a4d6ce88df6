// The last minutes, from the server's own histograms.

import type { Figures, Point } from "./types";

const KEPT = 300;

/** Figures of one span of time. */
export interface Summary {
  /** Requests a second. */
  rate: number;
  /** Percentiles in microseconds; null where nothing happened. */
  p50: number | null;
  p99: number | null;
  queue: number | null;
  /** The share of requests that failed. */
  failed: number;
  /** Rows of a run, on average by bucket. */
  batch: number | null;
  waiting: number;
}

export class Minutes {
  readonly start: string = "";
  readonly next: number = 0;
  readonly connections: number = 0;
  private readonly latency: number[] = [];
  private readonly batches: number[] = [];
  private readonly models = new Map<string, Map<number, Point[]>>();

  /** These minutes and what has come since. */
  with(figures: Figures): Minutes {
    const made = Object.create(Minutes.prototype) as { -readonly [K in keyof Minutes]: Minutes[K] };
    const kept = figures.start === this.start ? this.models : new Map<string, Map<number, Point[]>>();
    const models = new Map<string, Map<number, Point[]>>();
    for (const [name, points] of kept) {
      models.set(name, new Map([...points].filter(([step]) => step >= figures.next - KEPT)));
    }
    for (const model of figures.models) {
      const points = models.get(model.name) ?? new Map<number, Point[]>();
      for (const point of model.points) points.set(point.step, [...(points.get(point.step) ?? []), point]);
      models.set(model.name, points);
    }
    Object.assign(made, {
      start: figures.start,
      next: figures.next,
      connections: figures.service.connections,
      latency: figures.latency_bounds_us,
      batches: figures.batch_bounds,
      models,
    });
    return made as Minutes;
  }

  /** The steps from `from` up to `to`, the newest being number -1. */
  summary(model: string, from: number, to = 0): Summary {
    const points = this.models.get(model);
    const [first, last] = [this.next + from, this.next + to];
    const latency = new Map<number, number>();
    const queue = new Map<number, number>();
    const batches = new Map<number, number>();
    let [requests, failed, waiting] = [0, 0, 0];
    for (let step = Math.max(first, 0); step < last; step++) {
      for (const point of points?.get(step) ?? []) {
        requests += point.requests ?? 0;
        for (const count of Object.values(point.failures ?? {})) failed += count;
        add(latency, point.latency);
        add(queue, point.queue);
        add(batches, point.batches);
        waiting = point.waiting ?? 0;
      }
    }
    return {
      rate: requests / Math.max(1, Math.min(last - first, this.next)),
      p50: percentile(latency, this.latency, 0.5),
      p99: percentile(latency, this.latency, 0.99),
      queue: percentile(queue, this.latency, 0.99),
      failed: requests ? failed / requests : 0,
      batch: mean(batches, this.batches),
      waiting,
    };
  }

  /** Summaries of spans of `width` steps, the oldest first, and how many seconds ago each ended. */
  course(model: string, width: number): { ago: number; summary: Summary }[] {
    const made = [];
    for (let from = -KEPT; from < 0; from += width) {
      if (this.next + from + width > 0) made.push({ ago: -(from + width), summary: this.summary(model, from, from + width) });
    }
    return made;
  }
}

function add(counts: Map<number, number>, buckets: [number, number][] = []): void {
  for (const [bucket, count] of buckets) counts.set(bucket, (counts.get(bucket) ?? 0) + count);
}

/** As Prometheus's histogram_quantile: within a bucket, values lie evenly. */
export function percentile(counts: Map<number, number>, bounds: number[], share: number): number | null {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (!total) return null;
  let rank = share * total;
  for (const [bucket, count] of [...counts].sort((a, b) => a[0] - b[0])) {
    if (rank <= count) {
      const upper = bounds[bucket] ?? bounds[bounds.length - 1] ?? 0;
      const lower = bucket < bounds.length ? (bounds[bucket - 1] ?? 0) : upper;
      return lower + (upper - lower) * (rank / count);
    }
    rank -= count;
  }
  return bounds[bounds.length - 1] ?? 0;
}

function mean(counts: Map<number, number>, bounds: number[]): number | null {
  let [total, sum] = [0, 0];
  for (const [bucket, count] of counts) {
    const upper = bounds[bucket] ?? bounds[bounds.length - 1] ?? 0;
    const lower = (bounds[bucket - 1] ?? 0) + 1;
    total += count;
    sum += (count * (Math.min(lower, upper) + upper)) / 2;
  }
  return total ? sum / total : null;
}

/** Microseconds in the unit that suits. */
export function time(us: number | null): string {
  if (us === null) return "–";
  if (us < 1000) return `${round(us)} µs`;
  return us < 1e6 ? `${round(us / 1000)} ms` : `${round(us / 1e6)} s`;
}

export function round(value: number): string {
  return Number(value.toPrecision(value < 100 ? 2 : 3)).toLocaleString("en", { maximumSignificantDigits: 3 });
}
