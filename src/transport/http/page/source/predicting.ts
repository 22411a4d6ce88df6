// Predicts as the visitor types.

import { batch, computed, effect, signal } from "@preact/signals";
import { type Shown, labels, read } from "./answer";
import { type Form, formOf, mistake, request, takesRows } from "./request";
import { Refused, infer, post, reach } from "./server";
import type { Answer, Tensor, Value } from "./types";
import { casesOf, shown } from "./watch";

export const form = signal<Form | null>(null);
export const values = signal<Value[]>([]);
/** The field over which the curve is drawn. */
export const along = signal(0);
export const outputs = signal<Shown[]>([]);
export const failure = signal("");
/** What the version before answered to the same values, after a swap. */
export const earlier = signal<{ version: string; outputs: Shown[] } | null>(null);
export const answeredBy = signal("");

export interface Curve {
  x: number[];
  lines: { label: string; y: number[] }[];
}
export const curve = signal<Curve | null>(null);

export const mistakes = computed(() => form.value?.fields.map((field, at) => mistake(field, values.value[at] ?? null)) ?? []);
export const inputs = computed<Tensor[] | null>(() => {
  const made = form.value;
  if (!made || values.value.length !== made.fields.length || mistakes.value.some(Boolean)) return null;
  return request(made, [values.value]).inputs;
});

const PAUSE = 80;
const POINTS = 61;
let running = new AbortController();

export function change(at: number, value: Value): void {
  values.value = values.value.map((old, other) => (other === at ? value : old));
}

/** Makes the form of the model that is shown, and keeps the values where it is the same form. */
async function arrange(): Promise<void> {
  const card = shown.value;
  if (!card) return;
  const cases = await casesOf(card).catch(() => []);
  if (shown.value !== card) return;
  const made = formOf(card, cases);
  const old = form.value;
  const same = old?.card.name === card.name && names(old) === names(made);
  batch(() => {
    earlier.value = same && old.card.content !== card.content && outputs.value.length ? { version: old.card.version, outputs: outputs.value } : null;
    form.value = made;
    if (same) return;
    values.value = made.defaults;
    along.value = Math.max(0, made.fields.findIndex((field) => field.kind === "number"));
    outputs.value = [];
    curve.value = null;
  });
}

const names = (form: Form) => JSON.stringify(form.fields.map((field) => [field.label, field.kind]));

async function predict(): Promise<void> {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const [made, asked] = [form.value, inputs.value];
  if (!made || !asked) return;
  try {
    const answer = await post<Answer>(infer(made.card.name), { inputs: asked }, signal);
    batch(() => {
      outputs.value = read(made, answer);
      answeredBy.value = answer.model_version;
      failure.value = "";
    });
    await draw(made, signal);
  } catch (error) {
    if (!signal.aborted) failure.value = error instanceof Refused ? error.message : "the server does not answer";
  }
}

async function draw(made: Form, signal: AbortSignal): Promise<void> {
  const at = along.value;
  const field = made.fields[at];
  if (field?.kind !== "number" || !field.range || !takesRows(made.card)) {
    curve.value = null;
    return;
  }
  const own = Number(values.value[at]);
  const [low, high] = [Math.min(field.range[0], own), Math.max(field.range[1], own)];
  let x = Array.from({ length: POINTS }, (_, step) => low + ((high - low) * step) / (POINTS - 1));
  if (field.integral) x = [...new Set(x.map(Math.round))];
  const rows = x.map((value) => values.value.map((old, other) => (other === at ? value : old)));
  const answer = await post<Answer>(infer(made.card.name), request(made, rows), signal);
  const lines = answer.outputs.flatMap((tensor) => {
    const width = tensor.data.length / x.length;
    if (typeof tensor.data[0] !== "number" || !Number.isInteger(width) || width > 10) return [];
    return labels(made, tensor, width).map((label, column) => ({
      label,
      y: x.map((_, row) => Number(tensor.data[row * width + column])),
    }));
  });
  curve.value = lines.length ? { x, lines } : null;
}

export function start(): void {
  effect(() => void (shown.value && arrange()));
  let waiting: ReturnType<typeof setTimeout>;
  effect(() => {
    // Each of these asks anew.
    void [form.value, inputs.value, along.value, reach.value === "answers"];
    clearTimeout(waiting);
    waiting = setTimeout(() => void predict(), PAUSE);
  });
}
