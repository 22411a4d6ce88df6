// What a model answered, as a person reads it.

import type { Form } from "./request";
import type { Answer, Tensor, Value } from "./types";

/** An output of one row. */
export interface Shown {
  name: string;
  values: Value[];
  /** What the values are called, where that is known. */
  labels: string[];
  /** Whether they are the probabilities of the labels. */
  probable: boolean;
}

export function read(form: Form, answer: Answer): Shown[] {
  return answer.outputs.map((tensor) => {
    const values = tensor.data;
    return {
      name: tensor.name,
      values,
      labels: labels(form, tensor, values.length),
      probable: isProbable(tensor.data),
    };
  });
}

/** Numbers of 0 to 1 that add up to 1. */
function isProbable(values: Value[]): boolean {
  if (values.length < 2 || values.length > 100) return false;
  const numbers = values.map(Number);
  const sum = numbers.reduce((total, value) => total + value, 0);
  return numbers.every((value) => value >= 0 && value <= 1) && Math.abs(sum - 1) < 1e-3;
}

/** By the map's keys, or as golden cases pair a class with the largest value. */
export function labels(form: Form, tensor: Tensor, count: number): string[] {
  const keys = tensor.parameters?.keys;
  if (keys) {
    const parsed: unknown = JSON.parse(keys);
    if (Array.isArray(parsed) && parsed.length === count) return parsed.map(String);
  }
  const found = learned(form, tensor.name, count);
  return Array.from({ length: count }, (_, at) => found.get(at) ?? (count === 1 ? tensor.name : `${tensor.name}[${at}]`));
}

function learned(form: Form, name: string, count: number): Map<number, string> {
  const found = new Map<number, string>();
  const classes = form.card.outputs.find((output) => output.name !== name && /BYTES|INT/.test(output.datatype));
  if (!classes || count < 2) return found;
  for (const one of form.cases) {
    const numbers = one.outputs.find((tensor) => tensor.name === name)?.data ?? [];
    const names = one.outputs.find((tensor) => tensor.name === classes.name)?.data ?? [];
    if (numbers.length !== names.length * count) continue;
    names.forEach((label, row) => {
      const values = numbers.slice(row * count, (row + 1) * count).map(Number);
      found.set(values.indexOf(Math.max(...values)), String(label));
    });
  }
  // One name for two columns is a guess that did not hold.
  return new Set(found.values()).size === found.size ? found : new Map();
}

/** A value with no more digits than a person reads. */
export function display(value: Value): string {
  if (typeof value !== "number") return String(value);
  return Number(value.toPrecision(7)).toString();
}
