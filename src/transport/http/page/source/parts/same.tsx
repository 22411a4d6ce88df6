import { signal } from "@preact/signals";
import { inputs } from "../predicting";
import { snippets } from "../snippets";
import { shown } from "../watch";

const chosen = signal("curl");
const copied = signal("");

/** The same request, to copy. */
export function Same() {
  const [card, asked] = [shown.value, inputs.value];
  if (!card || !asked) return null;
  const all = snippets(card.name, asked);
  const text = (all.find((one) => one.name === chosen.value) ?? all[0])?.text ?? "";
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => (copied.value = "Copied."),
      () => (copied.value = "The browser did not let it be copied: select the text instead."),
    );
  return (
    <section class="box" aria-labelledby="same">
      <h3 id="same">The same request</h3>
      <div class="choices" role="group" aria-label="Client">
        {all.map((one) => (
          <button key={one.name} type="button" aria-pressed={one.name === chosen.value} onClick={() => (chosen.value = one.name)}>
            {one.name}
          </button>
        ))}
        <button
          type="button"
          class="copy"
          onClick={() => {
            // Only over TLS or on localhost does a browser have a clipboard.
            if (navigator.clipboard) void copy();
            else copied.value = "Without TLS the browser has no clipboard: select the text instead.";
          }}
        >
          Copy
        </button>
        <span role="status" class="quiet">
          {copied.value}
        </span>
      </div>
      <pre tabIndex={0} aria-label={`${chosen.value} request`}>
        <code>{text}</code>
      </pre>
    </section>
  );
}
