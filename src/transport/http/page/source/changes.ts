// What became different under the visitor's eyes.

import type { Card, Declared } from "./types";

export type Change =
  | { kind: "restart"; at: number }
  | { kind: "other"; at: number }
  | { kind: "new"; at: number; model: string; version: string }
  | { kind: "gone"; at: number; model: string; version: string }
  | { kind: "swap"; at: number; model: string; from: Card; to: Card; differences: string[] };

/** What happened between two looks; at the first look, nothing. */
export function compare(before: Card[], after: Card[]): Change[] {
  if (!before.length) return [];
  const at = Date.now();
  const found: Change[] = [];
  for (const to of after) {
    const from = before.find((card) => card.name === to.name);
    if (!from) found.push({ kind: "new", at, model: to.name, version: to.version });
    else if (from.content !== to.content) {
      found.push({ kind: "swap", at, model: to.name, from, to, differences: differences(from, to) });
    }
  }
  for (const from of before) {
    if (!after.some((card) => card.name === from.name)) {
      found.push({ kind: "gone", at, model: from.name, version: from.version });
    }
  }
  return found;
}

function differences(from: Card, to: Card): string[] {
  const said: string[] = [];
  if (from.description !== to.description) said.push(`it is now: ${to.description}`);
  said.push(...sides("input", from.inputs, to.inputs), ...sides("output", from.outputs, to.outputs));
  if (from.golden_cases.passed !== to.golden_cases.passed) {
    said.push(`golden cases: ${from.golden_cases.passed} → ${to.golden_cases.passed}`);
  }
  if (from.scheduling.placement !== to.scheduling.placement) {
    said.push(`it runs ${to.scheduling.placement}, not ${from.scheduling.placement}`);
  }
  return said;
}

function sides(side: string, from: Declared[], to: Declared[]): string[] {
  const form = (tensor: Declared) => `${tensor.datatype} [${tensor.shape.join(", ")}]`;
  const said: string[] = [];
  for (const tensor of to) {
    const old = from.find((other) => other.name === tensor.name);
    if (!old) said.push(`a new ${side}, ${tensor.name}`);
    else if (form(old) !== form(tensor)) said.push(`the ${side} ${tensor.name}: ${form(old)} → ${form(tensor)}`);
  }
  for (const tensor of from) {
    if (!to.some((other) => other.name === tensor.name)) said.push(`no ${side} ${tensor.name} any more`);
  }
  return said;
}
