// The form: fields from a model's own signature, and what they ask.

import type { Card, Case, Declared, Tensor, Value } from "./types";

/** One thing to fill in. */
export interface Field {
  id: string;
  label: string;
  /** "whole" is a tensor of many values, as JSON. */
  kind: "number" | "text" | "truth" | "whole";
  input: number;
  column: number;
  integral: boolean;
  range: [number, number] | null;
  /** Whether the range is what the model was trained on. */
  trained: boolean;
  /** Texts that the golden cases hold. */
  known: string[];
}

export interface Form {
  card: Card;
  fields: Field[];
  defaults: Value[];
  /** The shape of each input that is asked; null for one that is left out. */
  shapes: (number[] | null)[];
  cases: Case[];
}

/** More values than this are one field. */
const MOST = 32;

export function formOf(card: Card, cases: Case[]): Form {
  const example = cases.find((one) => one.inputs.every((input) => (input.shape[0] ?? 1) === 1)) ?? cases[0];
  const fields: Field[] = [];
  const defaults: Value[] = [];
  const shapes = card.inputs.map((declared, input) => {
    const given = example?.inputs.find((tensor) => tensor.name === declared.name);
    if (declared.optional && !given) return null;
    const shape = shapeOf(declared, given);
    const count = shape.reduce((product, size) => product * size, 1);
    const row = given ? given.data.slice(0, count) : [];
    if (count > MOST) {
      const fill = declared.datatype === "BYTES" ? "" : declared.datatype === "BOOL" ? false : 0;
      fields.push(field(declared, input, -1, count, cases));
      defaults.push(JSON.stringify(row.length === count ? row : Array<Value>(count).fill(fill)));
      return shape;
    }
    for (let column = 0; column < count; column++) {
      const made = field(declared, input, column, count, cases);
      fields.push(made);
      defaults.push(row[column] ?? start(made));
    }
    return shape;
  });
  return { card, fields, defaults, shapes, cases };
}

/** One row where rows may vary; other open dimensions as a golden case has them. */
function shapeOf(declared: Declared, given?: Tensor): number[] {
  return declared.shape.map((size, at) => {
    if (size >= 0) return size;
    if (at === 0) return 1;
    return given?.shape.length === declared.shape.length ? (given.shape[at] ?? 1) : 1;
  });
}

function start(field: Field): Value {
  if (field.kind === "truth") return false;
  if (field.kind === "text") return field.known[0] ?? "";
  if (!field.range) return 0;
  const middle = (field.range[0] + field.range[1]) / 2;
  return field.integral ? Math.round(middle) : Number(middle.toPrecision(3));
}

function field(declared: Declared, input: number, column: number, count: number, cases: Case[]): Field {
  const values = seen(declared, column, count, cases);
  const numbers = values.filter((value): value is number => typeof value === "number");
  const trained = (declared.features?.length ? declared.ranges?.[column] : declared.ranges?.[0]) ?? null;
  const one = count === 1 ? declared.name : `${declared.name}[${column}]`;
  const number = !["BYTES", "BOOL"].includes(declared.datatype);
  return {
    id: `field-${input}-${column}`,
    label: column < 0 ? `${declared.name}, ${count} values` : (declared.features?.[column] ?? one),
    kind: column < 0 ? "whole" : number ? "number" : declared.datatype === "BOOL" ? "truth" : "text",
    input,
    column,
    integral: /INT/.test(declared.datatype),
    range: trained ?? widened(numbers),
    trained: trained !== null,
    known: [...new Set(values.filter((value): value is string => typeof value === "string"))].slice(0, 50),
  };
}

/** The column's values in all golden cases. */
function seen(declared: Declared, column: number, count: number, cases: Case[]): Value[] {
  const tensors = cases.flatMap((one) => one.inputs.filter((tensor) => tensor.name === declared.name));
  return tensors.flatMap((tensor) => tensor.data.filter((_, at) => at % count === column));
}

function widened(numbers: number[]): [number, number] | null {
  if (!numbers.length) return null;
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const more = high > low ? (high - low) / 4 : Math.abs(high) || 1;
  const low2 = low >= 0 ? Math.max(0, low - more) : low - more;
  return [Number(low2.toPrecision(3)), Number((high + more).toPrecision(3))];
}

/** What is wrong with a field's value; empty where nothing is. */
export function mistake(field: Field, value: Value): string {
  if (field.kind === "number") {
    if (value === "" || value === null || !Number.isFinite(Number(value))) return "write a number";
    if (field.integral && !Number.isInteger(Number(value))) return "write a whole number";
  }
  if (field.kind === "whole") {
    try {
      if (!Array.isArray(JSON.parse(String(value)))) return "write a JSON array";
    } catch {
      return "write a JSON array";
    }
  }
  return "";
}

/** The request for `rows` of values. */
export function request(form: Form, rows: Value[][]): { inputs: Tensor[] } {
  const inputs = form.card.inputs.flatMap((declared, input) => {
    const shape = form.shapes[input];
    if (!shape) return [];
    const data = rows.flatMap((row) =>
      form.fields.flatMap((field, at): Value[] => {
        if (field.input !== input) return [];
        const value = row[at] ?? null;
        if (field.kind === "whole") return JSON.parse(String(value)) as Value[];
        return [field.kind === "number" ? Number(value) : value];
      }),
    );
    const rowed = rows.length > 1 ? [(shape[0] ?? 1) * rows.length, ...shape.slice(1)] : shape;
    return [{ name: declared.name, shape: rowed, datatype: declared.datatype, data }];
  });
  return { inputs };
}

/** Whether several rows can be asked at once. */
export function takesRows(card: Card): boolean {
  return [...card.inputs, ...card.outputs].every((tensor) => tensor.shape[0] === -1);
}
