import { call, differences } from "../replicas";
import { answering, current } from "../watch";

/** Where several servers answer at this address: which of them is shown, and whether they agree. */
export function Replicas() {
  const all = answering.value;
  if (all.length < 2) return null;
  const differ = differences(all);
  return (
    <section class={`box replicas ${differ.length ? "differ" : ""}`} aria-labelledby="replicas">
      <h2 id="replicas">{all.length} replicas answer here</h2>
      <p role="status" class={differ.length ? "bad" : "good"}>
        {differ.length ? "✕ They do not serve the same." : "✓ All of them serve the same bytes."}
      </p>
      {differ.length ? (
        <ul>
          {differ.map((difference) => (
            <li key={difference}>{difference}</li>
          ))}
        </ul>
      ) : null}
      <div class="choices" role="group" aria-label="The replica that is shown">
        <span class="quiet">What follows is said by</span>
        {all.map((replica) => (
          <button key={replica.id} type="button" aria-pressed={replica.id === current.value} onClick={() => (current.value = replica.id)}>
            {call(replica.id)}
          </button>
        ))}
        <span class="quiet">of itself; a prediction says who made it.</span>
      </div>
    </section>
  );
}
