import { round, time } from "../figures";
import { cards, minutes, show, shown } from "../watch";

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
              {round(rate)}/s, p99 {time(p99)}
            </span>
          </a>
        );
      })}
    </nav>
  );
}
