import { ago, short } from "../words";
import type { Card } from "../types";
import { ahead, now } from "../watch";

/** One thing that is proved, or not. */
function Proved({ good, what, children }: { good: boolean | null; what: string; children: preact.ComponentChildren }) {
  return (
    <li class={good === null ? "open" : good ? "good" : "bad"}>
      <span class="sign" aria-hidden="true">
        {good === null ? "–" : good ? "✓" : "✕"}
      </span>
      <div>
        <strong>{what}</strong> {children}
      </div>
    </li>
  );
}

interface Signature {
  state?: string;
  signer?: string;
  reason?: string;
}

/** What a signature's state says, whether it is a word or more. */
function signature(said: unknown): { good: boolean | null; words: string } {
  const more: Signature = said && typeof said === "object" ? said : { state: String(said) };
  const state = more.state ?? "unknown";
  const words = [state, more.signer && `by ${more.signer}`, more.reason].filter(Boolean).join(", ");
  if (/^verified/.test(state)) return { good: true, words };
  return { good: /fail|invalid/.test(state) ? false : null, words };
}

/** Which model this is, and how this process proved it to itself. */
export function Proof({ card }: { card: Card }) {
  const signed = signature(card.signature);
  const golden = card.golden_cases;
  return (
    <section class="box proof" aria-labelledby="proof">
      <h3 id="proof">Proof</h3>
      <ul>
        {card.files.map((file) => (
          <Proved key={file.path} good what="Bytes">
            served = manifest = git: {file.path}, sha256{" "}
            <code class="digest" title={file.sha256}>
              {file.sha256}
            </code>
          </Proved>
        ))}
        <Proved good what="Stamp">
          the file itself says {card.version}
        </Proved>
        <Proved good={signed.good} what="Signature">
          {signed.words}
        </Proved>
        <Proved good={golden.passed > 0 ? true : null} what="Golden cases">
          {golden.passed ? `${golden.passed} passed in this process: ${golden.names.join(", ")}` : "none are recorded"}
        </Proved>
        <Proved good={card.commit ? true : null} what="Commit">
          {card.commit ? <code title={card.commit}>{short(card.commit)}</code> : "not told (--commit)"}
        </Proved>
        <Proved good={card.image ? true : null} what="Image">
          {card.image ? <code>{card.image}</code> : "none: it does not run in one, or --image is not set"}
        </Proved>
        <Proved good what="Ready">
          <time dateTime={new Date(card.ready_since).toISOString()}>{ago(card.ready_since - ahead.value, now.value)}</time>, loaded in{" "}
          {card.load_milliseconds.toPrecision(2)} ms by {card.engine}
        </Proved>
      </ul>
      <details>
        <summary>How it runs</summary>
        <p>
          {card.scheduling.placement}: {card.scheduling.placement_reason}. Batching is {card.scheduling.batching.state}
          {card.scheduling.batching.reason ? `: ${card.scheduling.batching.reason}` : `, up to ${card.scheduling.max_batch_size} rows`};{" "}
          {card.scheduling.instances} instances.
        </p>
      </details>
    </section>
  );
}
