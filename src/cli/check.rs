//! `modelship check`.

use std::{
    fmt::Write as _,
    io::IsTerminal as _,
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anstyle::{AnsiColor, Style};
use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};

use super::{Usage, flag, progress::Progress, scratch::Scratch, signers};
use crate::{
    engine::{self, OnnxRuntime},
    repository::{plain, plain_json, signature::Trust},
    review::{
        Side,
        check::{Checked, Finding, Report, Request, Seen, Severity, prepare},
        git::Repository,
        size,
    },
};

const EXAMPLES: &str = "\
Examples:
  modelship check                          every model in ./models
  modelship check --against origin/main    and whether versions fit what changed since
  modelship check --public-key key.pub     and whether signatures hold by this key

Exit status: 0 nothing is wrong, 1 something is, 2 wrong use.";

pub(super) fn command() -> Command {
    Command::new("check")
        .about("Checks a model repository: everything that can be verified, in one pass")
        .after_help(EXAMPLES)
        .arg(
            flag("models", "FOLDER", "The folder of the model repository")
                .default_value("models")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(flag(
            "against",
            "REF",
            "What stood before, a git ref or a folder: versions must fit what changed since",
        ))
        .arg(
            flag(
                "format",
                "FORMAT",
                "How findings are written: GitHub's annotations in its workflows, else text",
            )
            .value_parser(PossibleValuesParser::new(["text", "json", "github"])),
        )
        .arg(
            flag(
                "large-file",
                "MB",
                "Files of more megabytes than this must be in Git LFS",
            )
            .default_value("50")
            .value_parser(value_parser!(u64).range(1..)),
        )
        .args(signers::flags())
        .arg(
            Arg::new("require-signature")
                .long("require-signature")
                .env("MODELSHIP_REQUIRE_SIGNATURE")
                .hide_env(true)
                .action(ArgAction::SetTrue)
                .help("A model that is not signed is an error"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let models: PathBuf = matches.get_one("models").cloned().unwrap_or_default();
    let in_workflow = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    let format = match matches.get_one::<String>("format") {
        Some(format) => format,
        None if in_workflow => "github",
        None => "text",
    };
    let scratch = Scratch::new()?;
    let against = matches
        .get_one::<String>("against")
        .map(|what| Side::open(what, &models, scratch.path()))
        .transpose()
        .map_err(|e| Usage(vec![format!("--against: {e}")]))?;
    let megabytes: u64 = matches.get_one("large-file").copied().unwrap_or(50);
    let trust = Trust::load(&signers::named(
        matches,
        matches.get_flag("require-signature"),
    ))
    .map_err(|e| Usage(vec![e.to_string()]))?;
    let request = Request {
        models: &models,
        trust: &trust,
        against: against.as_ref(),
        large_file: megabytes.saturating_mul(1_000_000),
    };
    let progress = Progress::start();
    let is_ready = AtomicBool::new(false);
    let (seen, engine) = thread::scope(|scope| {
        let seen = scope.spawn(|| Seen::of(&request, || !is_ready.load(Ordering::Relaxed)));
        let engine = engine::find_library().and_then(|library| OnnxRuntime::start(&library));
        if let Ok(engine) = &engine {
            prepare(engine);
        }
        is_ready.store(true, Ordering::Relaxed);
        (seen.join(), engine)
    });
    let seen = seen.unwrap_or_else(|panic| resume_unwind(panic));
    let report = seen.run(&engine?, |n, of, model| {
        progress.step(n, of, model.to_owned());
    });
    drop(progress);
    let out = match format {
        "json" => json(&report)?,
        "github" => annotations(&report, &models),
        _ => text(&report),
    };
    super::write_out(out.as_bytes())?;
    drop(scratch);
    super::end(u8::from(!report.is_right()))
}

fn json(report: &Report) -> anyhow::Result<String> {
    Ok(plain_json(&serde_json::to_string_pretty(report)?) + "\n")
}

/// One line for each finding and each model, and one for all.
fn text(report: &Report) -> String {
    let colored = std::io::stdout().is_terminal()
        && anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    let paint = |color: AnsiColor, text: &str| {
        let style = if colored {
            color.on_default().bold()
        } else {
            Style::new()
        };
        format!("{style}{text}{style:#}")
    };
    let mut out = String::new();
    for Finding {
        severity, problem, ..
    } in &report.findings
    {
        let _ = match severity {
            Severity::Error => writeln!(out, "{} {problem}", paint(AnsiColor::Red, "error")),
            Severity::Warning => writeln!(out, "{} {problem}", paint(AnsiColor::Yellow, "warning")),
        };
    }
    for model in &report.models {
        let _ = writeln!(out, "{}", line(model));
    }
    let result = if report.is_right() {
        paint(AnsiColor::Green, "nothing is wrong")
    } else {
        paint(AnsiColor::Red, "not right")
    };
    let _ = writeln!(out, "{}: {result}", summary(report));
    out
}

fn line(model: &Checked) -> String {
    let cases = match (model.cases, model.sampled_cases) {
        (1, 0) => "1 golden case".to_owned(),
        (cases, 0) => format!("{cases} golden cases"),
        (cases, sampled) => format!("{cases} golden cases ({sampled} drawn at random)"),
    };
    let memory = model.load_memory.map(|bytes| match bytes {
        // What is less is lost in the noise.
        ..1_000_000 => ", less than 1 MB of memory".to_owned(),
        bytes => format!(", {} of memory", size(bytes)),
    });
    format!(
        "{} {}: {cases}, {}, loaded in {:.1} ms{}, batching {}",
        plain(&model.name),
        plain(&model.version),
        size(model.bytes),
        model.load_milliseconds,
        memory.unwrap_or_default(),
        plain(&model.batching)
    )
}

fn summary(report: &Report) -> String {
    let count = |severity| {
        report
            .findings
            .iter()
            .filter(|f| f.severity == severity)
            .count()
    };
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!(
        "{} loaded by {}, {}, {}",
        plural(report.models.len(), "model"),
        report.engine,
        plural(count(Severity::Error), "error"),
        plural(count(Severity::Warning), "warning")
    )
}

/// GitHub's workflow commands, which it shows at the lines of the change.
/// <https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>
fn annotations(report: &Report, models: &Path) -> String {
    let repository = Repository::of(models);
    let mut out = String::new();
    for Finding {
        severity,
        rule,
        problem,
    } in &report.findings
    {
        let command = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let file = repository
            .as_ref()
            .and_then(|own| own.relative(&problem.file))
            .unwrap_or_else(|| problem.file.display().to_string());
        let line = problem
            .line
            .map(|line| format!(",line={line}"))
            .unwrap_or_default();
        let title = serde_json::to_value(rule).ok();
        let title = title.as_ref().and_then(|t| t.as_str()).unwrap_or_default();
        let _ = writeln!(
            out,
            "::{command} file={}{line},title={title}::{}",
            property(&file),
            message(&problem.to_string())
        );
    }
    for model in &report.models {
        let _ = writeln!(out, "{}", inert(&line(model)));
    }
    let _ = writeln!(out, "{}", inert(&summary(report)));
    out
}

/// A line that is none of the runner's older commands, which it finds
/// anywhere in a line: `##[error]`.
/// <https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs>
fn inert(line: &str) -> String {
    line.replace("##[", "## [")
}

fn message(text: &str) -> String {
    plain(text)
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
