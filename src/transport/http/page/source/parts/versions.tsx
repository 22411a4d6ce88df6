import type { Card } from "../types";
import { health } from "../watch";

/** Every version of the model, and its state. */
export function Versions({ card }: { card: Card }) {
  const states = health.value?.versions.filter((state) => state.name === card.name) ?? [];
  return (
    <section class="box" aria-labelledby="versions">
      <h3 id="versions">Versions</h3>
      <table>
        <thead>
          <tr>
            <th scope="col">version</th>
            <th scope="col">state</th>
            <th scope="col">reason</th>
          </tr>
        </thead>
        <tbody>
          {states.map((state) => (
            <tr key={state.version}>
              <td>{state.version ?? "–"}</td>
              <td class={state.state === "READY" ? "good" : "bad"}>{state.state}</td>
              <td>{state.reason ?? ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
