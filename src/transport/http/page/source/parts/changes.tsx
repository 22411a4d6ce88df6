import type { Change } from "../changes";
import { ago, short } from "../words";
import { changes, now } from "../watch";

function words(change: Change) {
  if (change.kind === "restart") return <>The server was started again.</>;
  if (change.kind === "other") return <>Another replica answers now; the one that was shown has gone.</>;
  if (change.kind === "new") {
    return (
      <>
        A new model: <strong>{change.model}</strong> {change.version}
      </>
    );
  }
  if (change.kind === "gone") {
    return (
      <>
        <strong>{change.model}</strong> {change.version} is no longer served.
      </>
    );
  }
  const { from, to } = change;
  return (
    <>
      <strong>{change.model}</strong> was swapped: {from.version} → {to.version}, sha256 <code>{short(from.sha256)}</code> →{" "}
      <code>{short(to.sha256)}</code>
      {change.differences.length ? `; ${change.differences.join("; ")}` : "; the same inputs and outputs"}
    </>
  );
}

/** What happened while the visitor was here. */
export function Changes() {
  const latest = changes.value.slice(0, 3);
  return (
    <div class="changes" role="status">
      {latest.map((change, at) => (
        <p key={change.at + at} class="change">
          <span>{words(change)}</span> <span class="quiet">{ago(change.at, now.value)}</span>
          <button type="button" aria-label="Dismiss" onClick={() => (changes.value = changes.value.filter((other) => other !== change))}>
            ×
          </button>
        </p>
      ))}
    </div>
  );
}
