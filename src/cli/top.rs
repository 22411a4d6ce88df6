//! `modelship top`: what a running service does, on a terminal.

use std::{fmt::Write as _, io::IsTerminal as _, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Deserialize;

use super::probe::Target;

/// The span that is summed up, in seconds.
const SPAN: u32 = 60;
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// Clears the terminal and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

const EXAMPLES: &str = "\
Examples:
  modelship top                         the service of this machine, again and again
  modelship top --once                  one table
  modelship top http://localhost:9000   another one";

pub(super) fn command() -> Command {
    Command::new("top")
        .about("Shows what a running service does: rates, latencies, failures")
        .after_help(EXAMPLES)
        .arg(Arg::new("url").value_name("URL").help(
            "The service, over plain HTTP [default: the port of MODELSHIP_LISTEN on this machine]",
        ))
        .arg(
            Arg::new("once")
                .long("once")
                .action(ArgAction::SetTrue)
                .help("Print one table and end, as it does anyway where there is no terminal"),
        )
        .arg(super::probe::key_file())
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let target = Target::of(matches)?.at(format!("/figures?steps={SPAN}"));
    let once = matches.get_flag("once") || !std::io::stdout().is_terminal();
    loop {
        let (status, body) = target
            .get()
            .with_context(|| format!("http://{} gave no answer", target.host))?;
        if status != 200 {
            bail!("http://{} answered {status}: {body}", target.host);
        }
        let figures: Figures = serde_json::from_str(&body)
            .with_context(|| format!("http://{} does not answer as modelship does", target.host))?;
        let table = figures.table();
        if once {
            super::write_out(table.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        super::write_out(format!("{CLEAR}{table}").as_bytes())?;
        std::thread::sleep(PAUSE);
    }
}

/// What `/figures` answers, as far as this table goes.
#[derive(Debug, Deserialize)]
struct Figures {
    ready: bool,
    from: u64,
    next: u64,
    latency_bounds_us: Vec<u64>,
    service: Service,
    models: Vec<Model>,
}

#[derive(Debug, Deserialize)]
struct Service {
    connections: u64,
}

#[derive(Debug, Deserialize)]
struct Model {
    name: String,
    version: String,
    points: Vec<Point>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Point {
    requests: u64,
    failures: std::collections::BTreeMap<String, u64>,
    latency: Vec<(usize, u64)>,
    rows: u64,
    batches: Vec<(usize, u64)>,
    waiting: u64,
}

impl Figures {
    fn table(&self) -> String {
        let ready = if self.ready { "ready" } else { "not ready" };
        let seconds = self.next.saturating_sub(self.from).max(1);
        let mut out = format!(
            "{ready}, {} connections; the last {seconds} s\n\n{:<24} {:<10} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8}\n",
            self.service.connections,
            "model",
            "version",
            "req/s",
            "p50",
            "p99",
            "failed",
            "rows/run",
            "waiting",
        );
        for model in &self.models {
            let sum = |of: fn(&Point) -> u64| model.points.iter().map(of).sum::<u64>();
            let requests = sum(|p| p.requests);
            let failed = sum(|p| p.failures.values().sum());
            let runs = sum(|p| p.batches.iter().map(|(_, n)| n).sum());
            let counts: Vec<_> = model.points.iter().flat_map(|p| &p.latency).collect();
            let waiting = model.points.last().map_or(0, |p| p.waiting);
            // Writing to a string can't fail.
            let _ = writeln!(
                out,
                "{:<24} {:<10} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8}",
                model.name,
                model.version,
                tenths(requests, seconds),
                percentile(&counts, &self.latency_bounds_us, 50),
                percentile(&counts, &self.latency_bounds_us, 99),
                failed,
                tenths(sum(|p| p.rows), runs),
                waiting,
            );
        }
        out
    }
}

/// A ratio with one digit after the point; `-` of nothing.
fn tenths(of: u64, by: u64) -> String {
    match (of * 10).checked_div(by) {
        None => "-".to_owned(),
        Some(tenths) => format!("{}.{}", tenths / 10, tenths % 10),
    }
}

/// The bound of the bucket in which so many of a hundred lie; `-` of nothing.
fn percentile(counts: &[&(usize, u64)], bounds: &[u64], of_a_hundred: u64) -> String {
    let total: u64 = counts.iter().map(|(_, n)| n).sum();
    let wanted = (total * of_a_hundred).div_ceil(100);
    let mut below = 0;
    for (bucket, bound) in bounds.iter().enumerate() {
        let here = counts.iter().filter(|(b, _)| *b == bucket);
        below += here.map(|(_, n)| n).sum::<u64>();
        if total > 0 && below >= wanted {
            return match bound {
                0..1000 => format!("<{bound}us"),
                1000..1_000_000 => format!("<{}ms", tenths(*bound, 1000).trim_end_matches(".0")),
                _ => format!("<{}s", tenths(*bound, 1_000_000).trim_end_matches(".0")),
            };
        }
    }
    if total == 0 { "-" } else { "more" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_model() {
        let figures: Figures = serde_json::from_str(
            r#"{"ready":true,"from":10,"next":20,"latency_bounds_us":[10,2500],
                "service":{"connections":3},
                "models":[{"name":"a","version":"v1.0.0","points":[
                    {"requests":30,"failures":{"invalid":2},"latency":[[0,20],[1,10]],
                     "rows":30,"batches":[[0,15]],"waiting":4}]},
                    {"name":"b","version":"v2.0.0","points":[]}]}"#,
        )
        .unwrap();
        let table = figures.table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "ready, 3 connections; the last 10 s");
        let cells: Vec<_> = lines[3].split_whitespace().collect();
        assert_eq!(
            cells,
            ["a", "v1.0.0", "3.0", "<10us", "<2.5ms", "2", "2.0", "4"]
        );
        let cells: Vec<_> = lines[4].split_whitespace().collect();
        assert_eq!(cells, ["b", "v2.0.0", "0.0", "-", "-", "0", "-", "0"]);
    }
}
