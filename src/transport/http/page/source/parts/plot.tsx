import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

const dark = matchMedia("(prefers-color-scheme: dark)");

interface Line {
  label: string;
  y: (number | null)[];
}

interface Props {
  x: number[];
  lines: Line[];
  height: number;
  /** What a screen reader says of it. */
  words: string;
  xLabel?: string;
  value?: (value: number) => string;
  xValue?: (value: number) => string;
  /** The current x. */
  at?: number;
  /** Where x has its marks, from its least value to its greatest. */
  marks?: number[];
}

const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Lines over x, by uPlot. */
export function Plot(props: Props) {
  const host = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const plot = useRef<uPlot | null>(null);
  const form = JSON.stringify([props.lines.map((line) => line.label), props.height, props.xLabel]);
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(latest.current, element.clientWidth, () => latest.current.at), data(latest.current), element);
    };
    make();
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: props.height }));
    resized.observe(element);
    dark.addEventListener("change", make);
    return () => {
      resized.disconnect();
      dark.removeEventListener("change", make);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [form]);
  useEffect(() => plot.current?.setData(data(props)), [props.x, props.lines, props.at]);
  return (
    <figure class="plot">
      <div ref={host} role="img" aria-label={props.words} />
      {props.lines.length > 1 ? (
        <figcaption>
          {props.lines.map((line, at) => (
            <span key={line.label} class={`key line-${at % 6}`}>
              {line.label}
            </span>
          ))}
        </figcaption>
      ) : null}
    </figure>
  );
}

const data = (props: Props): uPlot.AlignedData => [props.x, ...props.lines.map((line) => line.y)];

function options(props: Props, width: number, at: () => number | undefined): uPlot.Options {
  const axis = { stroke: color("--quiet"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const { marks } = props;
  const values = (say?: (value: number) => string) => (say ? { values: (_: uPlot, ticks: number[]) => ticks.map(say) } : {});
  return {
    width,
    height: props.height,
    legend: { show: false },
    cursor: { show: false },
    pxAlign: false,
    scales: { x: { time: false, ...(marks ? { range: [marks[0] ?? 0, marks[marks.length - 1] ?? 1] as [number, number] } : {}) } },
    axes: [
      { ...axis, size: 32, gap: 8, ...(marks ? { splits: marks } : {}), ...values(props.xValue), ...(props.xLabel ? { label: props.xLabel, labelSize: 18, labelFont: "12px system-ui" } : {}) },
      { ...axis, ...values(props.value), size: 62 },
    ],
    series: [
      {},
      ...props.lines.map((line, index) => ({
        label: line.label,
        stroke: color(`--line-${index % 6}`),
        width: 2,
        // One alone makes no line.
        points: { show: (plot: uPlot, at: number) => lone(plot.data[at] ?? []), size: 6, fill: color(`--line-${index % 6}`) },
        spanGaps: true,
        pxAlign: 0,
      })),
    ],
    hooks: {
      draw: [
        (plot) => {
          const x = at();
          if (x === undefined) return;
          const { ctx, bbox } = plot;
          const left = plot.valToPos(x, "x", true);
          ctx.save();
          ctx.strokeStyle = color("--quiet");
          ctx.setLineDash([4, 4]);
          ctx.beginPath();
          ctx.moveTo(left, bbox.top);
          ctx.lineTo(left, bbox.top + bbox.height);
          ctx.stroke();
          ctx.setLineDash([]);
          latest(plot, x).forEach((y, index) => {
            ctx.fillStyle = color(`--line-${index % 6}`);
            ctx.beginPath();
            ctx.arc(left, plot.valToPos(y, "y", true), 5 * devicePixelRatio, 0, 2 * Math.PI);
            ctx.fill();
          });
          ctx.restore();
        },
      ],
    },
  };
}

const lone = (ys: ArrayLike<number | null | undefined>) => Array.from(ys).filter((y) => y !== null && y !== undefined).length === 1;

/** Where each line is at `x`: between two points, on the straight line. */
function latest(plot: uPlot, x: number): number[] {
  const xs = plot.data[0];
  const next = xs.findIndex((value) => value >= x);
  const [low, high] = [Math.max(0, next - 1), next < 0 ? xs.length - 1 : next];
  const [from, to] = [xs[low] ?? x, xs[high] ?? x];
  const share = to > from ? (x - from) / (to - from) : 0;
  return plot.data.slice(1).map((ys) => {
    const [a, b] = [ys[low] ?? 0, ys[high] ?? 0];
    return a + (b - a) * share;
  });
}
