// The server behind this page: whether it answers, and whether it asks for a key.

import { signal } from "@preact/signals";

export type Reach = "waiting" | "answers" | "silent" | "locked";

/** Whether the server answers. */
export const reach = signal<Reach>("waiting");
/** What the server says of a key that it did not take. */
export const refusal = signal("");
/** Of whom every answer says that it came, where several servers share an address. */
const INSTANCE = "modelship-instance";

/** What a server answered, and which one it was. */
export interface Answered<T> {
  body: T;
  from: string;
}

/** The visitor's key. It is kept here alone, and gone with the page. */
export const key = signal("");

/** An answer that is none: the server's own sentence. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    sentence: string,
  ) {
    super(sentence);
  }
}

async function ask(path: string, options: RequestInit = {}): Promise<Answered<unknown>> {
  const headers = new Headers({ accept: "application/json" });
  if (options.body) headers.set("content-type", "application/json");
  if (key.value) headers.set("authorization", `Bearer ${key.value}`);
  let response: Response;
  try {
    response = await fetch(path, { cache: "no-store", ...options, headers });
  } catch (error) {
    if (!options.signal?.aborted) reach.value = "silent";
    throw error;
  }
  const body: unknown = await response.json().catch(() => ({}));
  if (response.status === 401 || response.status === 403) {
    refusal.value = key.value ? sentence(body, response.status) : "";
    reach.value = "locked";
    throw new Refused(response.status, sentence(body, response.status));
  }
  // Health is told to everybody: it opens no door.
  if (reach.value !== "locked") reach.value = "answers";
  // Health says what is wrong with 503.
  if (!response.ok && response.status !== 503) throw new Refused(response.status, sentence(body, response.status));
  if (response.status === 503 && !(body && typeof body === "object" && "versions" in body)) {
    throw new Refused(503, sentence(body, 503));
  }
  return { body, from: response.headers.get(INSTANCE) ?? "" };
}

function sentence(body: unknown, status: number): string {
  const said = body && typeof body === "object" && "error" in body ? body.error : null;
  return typeof said === "string" ? said : `the server answered ${status}`;
}

export function get<T>(path: string): Promise<Answered<T>> {
  return ask(path) as Promise<Answered<T>>;
}

export function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<Answered<T>> {
  return ask(path, { method: "POST", body: JSON.stringify(body), signal }) as Promise<Answered<T>>;
}

export const infer = (model: string) => `/v2/models/${encodeURIComponent(model)}/infer`;
