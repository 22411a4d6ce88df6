import { round, time } from "../figures";
import { cards, health, minutes, show, shown } from "../watch";

/** How the versions of a model are, in a word. */
function State({ model }: { model: string }) {
  const states = health.value?.versions.filter((state) => state.name === model) ?? [];
  const off = states.find((state) => state.state !== "READY" && state.reason) ?? states.find((state) => state.state !== "READY");
  if (off) return <span class="bad">! {off.state.toLowerCase()} {off.version}</span>;
  return <span class="good">✓ ready</span>;
}

/** Every model, to choose from. */
export function Tiles() {
  return (
    <nav class="tiles" aria-label="Models">
      {cards.value.map((card) => {
        const { rate, p99 } = minutes.value.summary(card.name, -60);
        return (
          <a
            key={card.name}
            href={`#${encodeURIComponent(card.name)}`}
            class="tile"
            aria-current={card.name === shown.value?.name ? "page" : undefined}
            onClick={(event) => {
              event.preventDefault();
              show(card.name);
            }}
          >
            <strong>{card.name}</strong> <span class="version">{card.version}</span>
            <span class="quiet">
              <State model={card.name} /> · {round(rate)}/s, p99 {time(p99)}
            </span>
          </a>
        );
      })}
    </nav>
  );
}
