// Looks at the server again and again, and keeps what it saw.

import { computed, signal } from "@preact/signals";
import { type Change, compare } from "./changes";
import { Minutes } from "./figures";
import { get, key, reach } from "./server";
import type { Card, Case, Figures, Health } from "./types";

export const cards = signal<Card[]>([]);
export const health = signal<Health | null>(null);
export const minutes = signal(new Minutes());
/** The latest first. */
export const changes = signal<Change[]>([]);
/** The server's clock less this one's, in milliseconds. */
export const ahead = signal(0);
export const now = signal(Date.now());

const wanted = signal(decodeURIComponent(location.hash.slice(1)));
/** The model that is shown. */
export const shown = computed(() => cards.value.find((card) => card.name === wanted.value) ?? cards.value[0]);

export function show(name: string): void {
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  wanted.value = name;
}

const EVERY = 1000;
const cases = new Map<string, Promise<Case[]>>();

/** The golden cases of what `card` describes. */
export function casesOf(card: Card): Promise<Case[]> {
  const at = `${card.name} ${card.content}`;
  let found = cases.get(at);
  if (!found) {
    found = get<{ cases: Case[] }>(`/models/${encodeURIComponent(card.name)}/cases`).then((answer) => answer.cases);
    found.catch(() => cases.delete(at));
    cases.set(at, found);
  }
  return found;
}

async function look(): Promise<void> {
  const from = minutes.value;
  const query = from.start ? `?start=${from.start}&since=${from.next}` : "";
  const [models, state, figures] = await Promise.all([
    get<{ models: Card[] }>("/models"),
    get<Health>("/healthz"),
    get<Figures>(`/figures${query}`),
  ]);
  if (from.start && from.start !== figures.start) {
    changes.value = [{ kind: "restart", at: Date.now() }, ...changes.value];
  }
  ahead.value = figures.now_ms - Date.now();
  minutes.value = from.with(figures);
  if (JSON.stringify(health.value) !== JSON.stringify(state)) health.value = state;
  if (JSON.stringify(cards.value) !== JSON.stringify(models.models)) {
    const found = compare(cards.value, models.models);
    if (found.length) changes.value = [...found, ...changes.value].slice(0, 20);
    cards.value = models.models;
  }
}

async function turn(): Promise<void> {
  now.value = Date.now();
  // While a key is asked for there is nothing to see; a new one is tried at once.
  if (!document.hidden && (reach.value !== "locked" || key.value !== tried)) {
    tried = key.value;
    await look().catch(() => undefined);
  }
  setTimeout(turn, EVERY);
}

let tried = "";

export function watch(): void {
  key.subscribe(() => void (reach.value === "locked" && key.value && look().catch(() => undefined)));
  window.addEventListener("hashchange", () => (wanted.value = decodeURIComponent(location.hash.slice(1))));
  void turn();
}
