// The servers behind this page's address: one, or several that take turns. What one of them says is
// never shown as what another does: the page shows one, and tells how the others differ.

import { Minutes } from "./figures";
import type { Card, Health } from "./types";

/** One server, as far as it has been seen. */
export interface Replica {
  readonly id: string;
  readonly cards: Card[] | null;
  readonly health: Health | null;
  readonly minutes: Minutes | null;
  /** When it began by its own clock, and that clock less this one's, in milliseconds. */
  readonly began: number;
  readonly ahead: number;
  /** When it answered last, by this clock. */
  readonly seen: number;
}

export type Replicas = ReadonlyMap<string, Replica>;

/** One that has not answered for so long has gone, in milliseconds. */
const GONE = 15_000;

/** `replicas` with what `id` has just said. */
export function heard(replicas: Replicas, id: string, said: Partial<Replica>, now: number): Replicas {
  const before = replicas.get(id) ?? { id, cards: null, health: null, minutes: null, began: 0, ahead: 0, seen: now };
  return new Map(replicas).set(id, { ...before, ...said, seen: now });
}

/** Whether all is known of it that the page shows. */
export function whole(replica: Replica | undefined): replica is Replica & { cards: Card[]; health: Health; minutes: Minutes } {
  return !!(replica?.cards && replica.health && replica.minutes);
}

/** Those that answer still, in an order that stays. */
export function alive(replicas: Replicas, now: number): Replica[] {
  const there = [...replicas.values()].filter((replica) => whole(replica) && now - replica.seen < GONE);
  return there.sort((a, b) => a.began - b.began || (a.id < b.id ? -1 : 1));
}

/** Whether `after` began when `before` had gone: the same server started again, or one in its place. */
export function follows(after: Replica, before: Replica): boolean {
  return after.began - after.ahead > before.seen;
}

/** The one to show: `current` for as long as it answers. */
export function choose(replicas: Replicas, current: string, now: number): string {
  const before = replicas.get(current);
  const others = alive(replicas, now).filter((replica) => replica.id !== current);
  const after = others.find((replica) => before && follows(replica, before));
  if (after) return after.id;
  if (before && (now - before.seen < GONE || !others.length)) return current;
  return others[0]?.id ?? current;
}

/** How those that answer differ in what they serve, a sentence for each difference. */
export function differences(replicas: Replica[]): string[] {
  const said: string[] = [];
  const names = new Set(replicas.flatMap((replica) => replica.cards?.map((card) => card.name) ?? []));
  for (const name of [...names].sort()) {
    const served = new Map<string, { card: Card | undefined; by: string[] }>();
    for (const replica of replicas) {
      const card = replica.cards?.find((one) => one.name === name);
      const group = served.get(card?.content ?? "") ?? { card, by: [] };
      group.by.push(call(replica.id));
      served.set(card?.content ?? "", group);
    }
    if (served.size < 2) continue;
    const groups = [...served.values()].map(({ card, by }) =>
      card ? `${card.version} (sha256 ${card.sha256.slice(0, 12)}) on ${by.join(", ")}` : `not at all on ${by.join(", ")}`,
    );
    said.push(`${name}: ${groups.join("; ")}`);
  }
  return said;
}

/** What a replica is called where a person reads it. */
export const call = (id: string) => id.slice(0, 6);
