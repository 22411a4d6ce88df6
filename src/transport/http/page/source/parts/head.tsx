import { reach } from "../server";
import { ago } from "../words";
import { ahead, cards, health, minutes, now } from "../watch";

const WORDS = {
  waiting: ["…", "asking the server"],
  silent: ["✕", "the server does not answer; trying again"],
  locked: ["⚿", "a key is asked for"],
};

/** What this is, and whether it is well. */
export function Head() {
  const state = health.value;
  const well = reach.value === "answers" && state?.status === "ready";
  const [sign, words] = reach.value === "answers" ? [well ? "✓" : "!", state ? `${state.status}: ${state.reason}` : ""] : WORDS[reach.value];
  const since = Math.max(0, ...cards.value.map((card) => card.ready_since));
  return (
    <header class="head">
      <h1>modelship</h1>
      <p class={`health ${well ? "good" : reach.value === "waiting" ? "" : "bad"}`} role="status">
        <span aria-hidden="true">{sign}</span> {words}
      </p>
      <p class="facts">
        {since ? <span>last change {ago(since - ahead.value, now.value)}</span> : null}
        <span>{minutes.value.connections} open connections</span>
      </p>
    </header>
  );
}
