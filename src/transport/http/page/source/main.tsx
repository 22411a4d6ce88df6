// The page: what is served here, whether it is healthy, and what it does.

import { render } from "preact";
import { Changes } from "./parts/changes";
import { Door } from "./parts/door";
import { Head } from "./parts/head";
import { Live } from "./parts/live";
import { Proof } from "./parts/proof";
import { Replicas } from "./parts/replicas";
import { Same } from "./parts/same";
import { Tiles } from "./parts/tiles";
import { Try } from "./parts/try";
import { Versions } from "./parts/versions";
import { start } from "./predicting";
import { reach } from "./server";
import { cards, shown, watch } from "./watch";

function Page() {
  const card = shown.value;
  return (
    <>
      <Head />
      <main>
        <Changes />
        {reach.value === "locked" ? <Door /> : null}
        {reach.value !== "locked" ? <Replicas /> : null}
        {card && reach.value !== "locked" ? (
          <>
            {cards.value.length > 1 ? <Tiles /> : null}
            <article class="model" aria-labelledby="model-name">
              <header class="model-head">
                <h2 id="model-name">{card.name}</h2>
                <span class="version">{card.version}</span>
                <p>{card.description}</p>
                <ul class="labels" aria-label="Labels">
                  {Object.entries(card.labels).map(([label, value]) => (
                    <li key={label}>
                      {label}: {value}
                    </li>
                  ))}
                  {card.license ? <li>license: {card.license}</li> : null}
                </ul>
              </header>
              <div class="columns">
                <div class="wide">
                  <Try />
                  <Same />
                </div>
                <div>
                  <Proof card={card} />
                  <Live card={card} />
                  <Versions card={card} />
                </div>
              </div>
            </article>
          </>
        ) : null}
        {!card && reach.value === "answers" ? <p class="empty">No model is served yet.</p> : null}
      </main>
      <footer>
        <a href="/docs">API reference</a> <a href="/metrics">Metrics</a> <a href="/models">Cards as JSON</a>
      </footer>
    </>
  );
}

const root = document.getElementById("page");
if (root) {
  root.replaceChildren();
  render(<Page />, root);
  watch();
  start();
}
