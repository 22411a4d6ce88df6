// What the server answers, as far as the page reads it.

export type Value = number | string | boolean | null;

export interface Tensor {
  name: string;
  shape: number[];
  datatype: string;
  data: Value[];
  parameters?: { keys?: string };
}

export interface Declared {
  name: string;
  datatype: string;
  shape: number[];
  optional: boolean;
  declared?: string;
  features?: string[];
  ranges?: ([number, number] | null)[];
}

export interface Card {
  name: string;
  version: string;
  versions: string[];
  description: string;
  license: string | null;
  labels: Record<string, string>;
  sha256: string;
  content: string;
  files: { path: string; sha256: string }[];
  commit: string | null;
  image: string | null;
  signature: unknown;
  inputs: Declared[];
  outputs: Declared[];
  golden_cases: { passed: number; names: string[] };
  load_milliseconds: number;
  ready_since: number;
  engine: string;
  scheduling: {
    placement: string;
    placement_reason: string;
    batching: { state: string; reason?: string };
    max_batch_size: number;
    instances: number;
    run_microseconds: number | null;
  };
}

export interface State {
  name: string;
  version: string | null;
  state: string;
  reason: string | null;
}

export interface Health {
  status: string;
  reason: string;
  versions: State[];
}

export interface Case {
  name: string;
  inputs: Tensor[];
  outputs: Tensor[];
}

export interface Answer {
  model_name: string;
  model_version: string;
  outputs: Tensor[];
}

type Buckets = [number, number][];

export interface Point {
  step: number;
  requests?: number;
  failures?: Record<string, number>;
  latency?: Buckets;
  queue?: Buckets;
  batches?: Buckets;
  waiting?: number;
}

export interface Figures {
  start: string;
  began_ms: number;
  now_ms: number;
  step_ms: number;
  from: number;
  next: number;
  ready: boolean;
  latency_bounds_us: number[];
  batch_bounds: number[];
  service: { connections: number };
  models: { name: string; version: string; served: boolean; points: Point[] }[];
}
