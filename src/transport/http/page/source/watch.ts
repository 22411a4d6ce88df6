// Looks at the server again and again, and keeps what it saw, for each replica alone.

import { batch, computed, signal } from "@preact/signals";
import { type Change, compare } from "./changes";
import { Minutes } from "./figures";
import { type Replicas, alive, choose, follows, heard, whole } from "./replicas";
import { get, key, reach } from "./server";
import type { Card, Case, Figures, Health } from "./types";

export const replicas = signal<Replicas>(new Map());
/** The replica that is shown. */
export const current = signal("");
const seen = computed(() => replicas.value.get(current.value));

export const cards = computed<Card[]>(() => seen.value?.cards ?? []);
export const health = computed(() => seen.value?.health ?? null);
export const minutes = computed(() => seen.value?.minutes ?? new Minutes());
/** The server's clock less this one's, in milliseconds. */
export const ahead = computed(() => seen.value?.ahead ?? 0);
/** The latest first. */
export const changes = signal<Change[]>([]);
export const now = signal(Date.now());
/** All that answer at this address. */
export const answering = computed(() => alive(replicas.value, now.value));

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
    found = get<{ cases: Case[] }>(`/models/${encodeURIComponent(card.name)}/cases`).then((answer) => answer.body.cases);
    found.catch(() => cases.delete(at));
    cases.set(at, found);
  }
  return found;
}

function hear(id: string, said: Parameters<typeof heard>[2]): void {
  replicas.value = heard(replicas.value, id, said, Date.now());
}

/** Asks for the cards; of whom they are says the answer. */
async function lookAtCards(): Promise<void> {
  const { from, body } = await get<{ models: Card[] }>("/models");
  const before = replicas.value.get(from)?.cards;
  const same = before && JSON.stringify(before) === JSON.stringify(body.models);
  hear(from, same ? {} : { cards: body.models });
  if (before && !same && from === current.value) say(compare(before, body.models));
}

async function lookAtHealth(): Promise<void> {
  const { from, body } = await get<Health>("/healthz");
  const before = replicas.value.get(from)?.health;
  hear(from, JSON.stringify(before) === JSON.stringify(body) ? {} : { health: body });
}

async function lookAtFigures(): Promise<void> {
  const known = minutes.value;
  // Another replica than the one that is asked sends all that it has.
  const query = known.start ? `?start=${known.start}&since=${known.next}` : "";
  const { from, body } = await get<Figures>(`/figures${query}`);
  const before = replicas.value.get(from)?.minutes ?? new Minutes();
  hear(from, {
    minutes: before.with(body),
    began: body.began_ms,
    ahead: body.now_ms - Date.now(),
  });
}

function say(found: Change[]): void {
  if (found.length) changes.value = [...found, ...changes.value].slice(0, 20);
}

/** Shows another replica where the one that was shown has gone. */
function turnTo(id: string): void {
  const [before, after] = [replicas.value.get(current.value), replicas.value.get(id)];
  current.value = id;
  if (!whole(before) || !whole(after)) return;
  const again = follows(after, before);
  // Where it is in its place, the one before will not answer again; should it, it is heard anew.
  if (again) replicas.value = new Map([...replicas.value].filter(([other]) => other !== before.id));
  say([{ kind: again ? ("restart" as const) : ("other" as const), at: Date.now() }, ...compare(before.cards, after.cards)]);
}

/** Looks that follow at once while of several replicas none is known whole. */
const AT_FIRST = 20;

async function look(): Promise<void> {
  // In another order each time: where replicas take turns, none is asked for the same thing again and again.
  const order = [lookAtCards, lookAtHealth, lookAtFigures].sort(() => Math.random() - 0.5);
  // What does not answer says nothing of what does: one replica may be gone, and another there.
  const said = await Promise.allSettled(order.map((one) => one()));
  if (said.every((one) => one.status === "fulfilled")) reach.value = "answers";
  const isSplit = () => replicas.value.size > 1 && !alive(replicas.value, Date.now()).length;
  for (let more = 0; more < AT_FIRST && isSplit(); more++) {
    await Promise.allSettled(order.sort(() => Math.random() - 0.5).map((one) => one()));
  }
  batch(() => {
    const chosen = choose(replicas.value, current.value, Date.now());
    if (chosen !== current.value) turnTo(chosen);
  });
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
