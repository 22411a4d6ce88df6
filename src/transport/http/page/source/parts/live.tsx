import { round, time } from "../figures";
import type { Card } from "../types";
import { minutes } from "../watch";
import { Plot } from "./plot";

const WIDTH = 5;
const MARKS = [-300, -240, -180, -120, -60, 0];

/** What the last minutes were like. */
export function Live({ card }: { card: Card }) {
  const last = minutes.value.summary(card.name, -60);
  const course = minutes.value.course(card.name, WIDTH);
  const x = course.map((span) => -span.ago);
  const minute = (seconds: number) => (seconds ? `${seconds / 60} min` : "now");
  const axis = { x, height: 120, marks: MARKS, xValue: minute };
  const figures: [string, string][] = [
    ["requests", `${round(last.rate)}/s`],
    ["p50", time(last.p50)],
    ["p99", time(last.p99)],
    ["failed", `${round(100 * last.failed)} %`],
    ["in the queue", round(last.waiting)],
    ["queue p99", time(last.queue)],
    ["rows a run", last.batch === null ? "–" : round(last.batch)],
  ];
  return (
    <section class="box live" aria-labelledby="live">
      <h3 id="live">
        Live <span class="quiet">last minute</span>
      </h3>
      <dl>
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {x.length > 1 ? (
        <>
          <h4>Requests a second</h4>
          <Plot {...axis} lines={[{ label: "rate", y: course.map((span) => span.summary.rate) }]} words="Requests a second, over the last five minutes" value={round} />
          <h4>Latency</h4>
          <Plot
            {...axis}
            lines={[
              { label: "p50", y: course.map((span) => span.summary.p50) },
              { label: "p99", y: course.map((span) => span.summary.p99) },
            ]}
            words="Latency, over the last five minutes"
            value={time}
          />
        </>
      ) : null}
    </section>
  );
}
