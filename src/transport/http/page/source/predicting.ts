// Predicts as the visitor types.

import { batch, computed, effect, signal } from "@preact/signals";
import { type Shown, labels, read } from "./answer";
import { type Form, formOf, mistake, request, takesRows } from "./request";
import { Refused, infer, post, reach } from "./server";
import type { Answer, Tensor, Value } from "./types";
import { casesOf, replicas, shown } from "./watch";

export const form = signal<Form | null>(null);
export const values = signal<Value[]>([]);
/** The field over which the curve is drawn. */
export const along = signal(0);
export const outputs = signal<Shown[]>([]);
export const failure = signal("");
/** What the version before answered to the same values, after a swap. */
export const earlier = signal<{ version: string; outputs: Shown[] } | null>(null);
/** The version and the replica that answered. */
export const answeredBy = signal<{ version: string; replica: string } | null>(null);

export interface Curve {
  x: number[];
  lines: { label: string; y: number[] }[];
}
export const curve = signal<Curve | null>(null);

export const mistakes = computed(() => form.value?.fields.map((field, at) => mistake(field, values.value[at] ?? null)) ?? []);
export const inputs = computed<Tensor[] | null>(() => {
  const made = shownForm.value;
  if (!made || values.value.length !== made.fields.length || mistakes.value.some(Boolean)) return null;
  return request(made, [values.value]).inputs;
});

/** The form, where it is that of the model that is shown: a new one takes a moment to make. */
export const shownForm = computed(() => (form.value?.card.name === shown.value?.name ? form.value : null));

/** What `replica` serves as the model of `form`; undefined where that isn't known. */
export const served = (form: Form, replica: string) =>
  replicas.value.get(replica)?.cards?.find((card) => card.name === form.card.name)?.content;

const PAUSE = 80;
/** How often a curve is asked for until a replica answers that serves what the prediction is of. */
const TRIES = 6;
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
  // As they are now: the visitor goes on typing.
  const [made, asked, row, at] = [shownForm.value, inputs.value, values.value, along.value];
  if (!made || !asked) return;
  try {
    const { body, from } = await post<Answer>(infer(made.card.name), { inputs: asked }, signal);
    batch(() => {
      outputs.value = read(made, body);
      answeredBy.value = { version: body.model_version, replica: from };
      failure.value = "";
    });
    await draw(made, row, at, from, signal);
  } catch (error) {
    if (!signal.aborted) failure.value = error instanceof Refused ? error.message : "the server does not answer";
  }
}

/** Draws the curve, by the model that `replica` serves. */
async function draw(made: Form, row: Value[], at: number, replica: string, signal: AbortSignal): Promise<void> {
  const field = made.fields[at];
  if (field?.kind !== "number" || !field.range || !takesRows(made.card)) {
    curve.value = null;
    return;
  }
  const own = Number(row[at]);
  const [low, high] = [Math.min(field.range[0], own), Math.max(field.range[1], own)];
  let x = Array.from({ length: POINTS }, (_, step) => low + ((high - low) * step) / (POINTS - 1));
  if (field.integral) x = [...new Set(x.map(Math.round))];
  const rows = x.map((value) => row.map((old, other) => (other === at ? value : old)));
  const answer = await alike(made, rows, replica, signal);
  if (!answer) {
    curve.value = null;
    return;
  }
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

/** The answer to `rows` by `replica`, or by one that serves the same bytes; null where none came. */
async function alike(made: Form, rows: Value[][], replica: string, signal: AbortSignal): Promise<Answer | null> {
  for (let tried = 0; tried < TRIES; tried++) {
    const { body, from } = await post<Answer>(infer(made.card.name), request(made, rows), signal);
    const content = served(made, from);
    if (from === replica || (content !== undefined && content === served(made, replica))) return body;
  }
  return null;
}

export function start(): void {
  effect(() => void (shown.value && arrange()));
  let waiting: ReturnType<typeof setTimeout>;
  effect(() => {
    // Each of these asks anew.
    void [form.value, inputs.value, along.value];
    clearTimeout(waiting);
    // Of a server that is away the head tells.
    if (reach.value === "answers") waiting = setTimeout(() => void predict(), PAUSE);
  });
}
