import { display } from "../answer";
import { along, answeredBy, change, curve, earlier, failure, mistakes, outputs, served, shownForm, values } from "../predicting";
import { call } from "../replicas";
import type { Field } from "../request";
import { answering } from "../watch";
import { Plot } from "./plot";

/** One thing to fill in. */
function Filled({ field, at }: { field: Field; at: number }) {
  const value = values.value[at] ?? "";
  const wrong = mistakes.value[at] ?? "";
  const hint = `${field.id}-hint`;
  const described = { id: field.id, "aria-invalid": wrong ? true : undefined, "aria-describedby": hint };
  const range = field.range ? `${field.trained ? "trained on" : "golden cases have"} ${field.range[0]} to ${field.range[1]}` : "";
  const write = (event: Event) => change(at, (event.currentTarget as HTMLInputElement).value);
  if (field.kind === "truth") {
    return (
      <div class="field truth">
        <input type="checkbox" id={field.id} checked={value === true} onChange={(event) => change(at, event.currentTarget.checked)} />
        <label for={field.id}>{field.label}</label>
      </div>
    );
  }
  return (
    <div class="field">
      <label for={field.id}>{field.label}</label>
      {field.kind === "whole" ? (
        <textarea {...described} rows={3} spellcheck={false} value={String(value)} onInput={(event) => change(at, event.currentTarget.value)} />
      ) : field.kind === "text" ? (
        <>
          <input {...described} type="text" list={`${field.id}-known`} value={String(value)} onInput={write} />
          <datalist id={`${field.id}-known`}>
            {field.known.map((known) => (
              <option key={known} value={known} />
            ))}
          </datalist>
        </>
      ) : (
        <div class="number">
          <input {...described} type="text" inputMode="decimal" value={String(value)} onInput={write} />
          {field.range ? (
            <input
              type="range"
              aria-label={`${field.label}, slider`}
              min={field.range[0]}
              max={field.range[1]}
              step={field.integral ? 1 : (field.range[1] - field.range[0]) / 200}
              value={Number(value)}
              onInput={(event) => change(at, Number(Number(event.currentTarget.value).toPrecision(6)))}
            />
          ) : null}
        </div>
      )}
      <small id={hint} class={wrong ? "wrong" : "quiet"}>
        {wrong || range}
      </small>
    </div>
  );
}

/** Who said it. */
function By() {
  const [by, made] = [answeredBy.value, shownForm.value];
  if (!by || !made) return null;
  if (answering.value.length < 2) return <p class="quiet">by {by.version}</p>;
  const other = served(made, by.replica) !== made.card.content;
  return (
    <p class={other ? "wrong" : "quiet"}>
      by {by.version} on {call(by.replica)}
      {other ? ", which does not serve what is shown here" : ""}
    </p>
  );
}

/** What the model says to these values. */
function Predicted() {
  const before = earlier.value;
  return (
    <div class="predicted" aria-live="polite" aria-atomic="true">
      {failure.value ? <p class="wrong">{failure.value}</p> : null}
      {outputs.value.map((output, at) => (
        <div key={output.name} class="output">
          <h4>{output.name}</h4>
          {output.probable ? (
            <ul class="bars">
              {output.values.map((value, column) => (
                <li key={output.labels[column]}>
                  <span class="name">{output.labels[column]}</span>
                  <span class="bar" aria-hidden="true">
                    <span style={{ width: `${100 * Number(value)}%` }} />
                  </span>
                  <span class="share">{(100 * Number(value)).toFixed(1)} %</span>
                </li>
              ))}
            </ul>
          ) : output.values.length <= 4 ? (
            <p class="value">{output.values.map(display).join(", ")}</p>
          ) : (
            <p class="values">{output.values.slice(0, 100).map(display).join(", ")}</p>
          )}
          {before && before.outputs[at] ? (
            <p class="before">
              {before.version} said {before.outputs[at].values.slice(0, 4).map(display).join(", ")}
            </p>
          ) : null}
        </div>
      ))}
      <By />
    </div>
  );
}

/** The form, the prediction, and how it changes. */
export function Try() {
  const made = shownForm.value;
  if (!made) return null;
  const numbers = made.fields.filter((field) => field.kind === "number" && field.range);
  const chosen = made.fields[along.value];
  const drawn = curve.value;
  return (
    <section class="box try" aria-labelledby="try">
      <h3 id="try">Try it</h3>
      <div class="asked">
        <form onSubmit={(event) => event.preventDefault()} aria-label="Inputs">
          {made.fields.map((field, at) => (
            <Filled key={field.id} field={field} at={at} />
          ))}
        </form>
        <Predicted />
      </div>
      {drawn && chosen ? (
        <div class="over">
          {numbers.length > 1 ? (
            <label>
              over{" "}
              <select value={along.value} onChange={(event) => (along.value = Number(event.currentTarget.value))}>
                {made.fields.map((field, at) =>
                  field.kind === "number" && field.range ? (
                    <option key={field.id} value={at}>
                      {field.label}
                    </option>
                  ) : null,
                )}
              </select>
            </label>
          ) : null}
          <Plot
            x={drawn.x}
            lines={drawn.lines}
            height={240}
            xLabel={chosen.label}
            at={Number(values.value[along.value])}
            words={`The prediction over ${chosen.label}, from ${drawn.x[0]?.toPrecision(3)} to ${drawn.x.at(-1)?.toPrecision(3)}`}
          />
        </div>
      ) : null}
    </section>
  );
}
