//! `modelship diff`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, Command, builder::PossibleValuesParser, value_parser};

use super::{Usage, flag, progress::Progress, scratch::Scratch};
use crate::{
    engine::{self, Engine, OnnxRuntime},
    repository::plain_json,
    review::{
        self, Request, Side, diff,
        report::{FORM, Review, Verdict},
    },
};

const EXAMPLES: &str = "\
BASE and HEAD are folders or git refs. A folder holds models, or models/, or is one model. Of a
ref the models are those that lie where --models lies. HEAD left out is --models as it stands.

Examples:
  modelship diff main                                      what you changed, in the terminal
  modelship diff main --format html --output review.html   the same as a page with plots
  modelship diff v1.0 HEAD --format json                   two refs, for a program

Exit status: 0 it may be merged, 1 something is wrong, 2 wrong use.";

pub(super) fn command() -> Command {
    Command::new("diff")
        .about("Reviews a change of models: predictions and speed side by side")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("base")
                .value_name("BASE")
                .required_unless_present("from")
                .help("What stood before"),
        )
        .arg(
            Arg::new("head")
                .value_name("HEAD")
                .help("What is to stand [default: --models]"),
        )
        .arg(
            flag("models", "FOLDER", "The folder of the model repository")
                .default_value("models")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            flag(
                "format",
                "FORMAT",
                "How the review is written [default: by --output's ending, else md]",
            )
            .value_parser(PossibleValuesParser::new(["md", "json", "html"])),
        )
        .arg(
            flag(
                "output",
                "FILE",
                "Where the review is written; to standard output without it",
            )
            .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            flag(
                "plots",
                "FOLDER",
                "Where the plots of the Markdown are written, as SVG; without it they are Mermaid",
            )
            .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            flag(
                "plots-url",
                "URL",
                "What the Markdown links the plots by [default: --plots]",
            )
            .requires("plots"),
        )
        .arg(
            flag(
                "speed",
                "SECONDS",
                "How long the speed of each model is measured; 0 leaves it out",
            )
            .default_value("3")
            .value_parser(value_parser!(u64).range(0..=600)),
        )
        .arg(
            flag(
                "from",
                "FILE",
                "A review in JSON to write in another form, instead of making one",
            )
            .conflicts_with_all(["base", "head"])
            .value_parser(value_parser!(PathBuf)),
        )
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let path = |name: &str| matches.get_one::<PathBuf>(name);
    let output = path("output");
    let review = match path("from") {
        Some(file) => read(file)?,
        None => make(matches)?,
    };
    let by_ending = output.and_then(|file| file.extension()?.to_str());
    let format = match (matches.get_one::<String>("format"), by_ending) {
        (Some(format), _) => format,
        (None, Some(ending @ ("json" | "html"))) => ending,
        (None, _) => "md",
    };
    let url = match (matches.get_one::<String>("plots-url"), path("plots")) {
        (Some(url), _) => Some(url.clone()),
        (None, Some(folder)) => Some(folder.display().to_string()),
        (None, None) => None,
    };
    let text = match format {
        "json" => plain_json(&serde_json::to_string_pretty(&review)?) + "\n",
        "html" => review::html(&review),
        _ => review::markdown(&review, url.as_deref()),
    };
    if let Some(folder) = path("plots") {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} can't be made", folder.display()))?;
        for (name, svg) in review::html::plots(&review) {
            put(&folder.join(name), svg.as_bytes())?;
        }
    }
    match output {
        Some(file) => put(file, text.as_bytes())?,
        None => super::write_out(text.as_bytes())?,
    }
    Ok(match review.verdict {
        Verdict::Wrong => ExitCode::FAILURE,
        Verdict::Fits | Verdict::Look => ExitCode::SUCCESS,
    })
}

fn make(matches: &ArgMatches) -> anyhow::Result<Review> {
    let models: PathBuf = matches.get_one("models").cloned().unwrap_or_default();
    let base = matches
        .get_one::<String>("base")
        .cloned()
        .unwrap_or_default();
    let here = models.display().to_string();
    let head = matches.get_one::<String>("head").unwrap_or(&here);
    let engine: Arc<dyn Engine> = Arc::new(OnnxRuntime::start(&engine::find_library()?)?);
    let scratch = Scratch::new()?;
    // Each side has a folder of its own: both may be the same commit.
    let open = |what: &str, name: &str| {
        Side::open(what, &models, &scratch.path().join(name))
            .map_err(|e| Usage(vec![format!("{}: {e}", name.to_uppercase())]))
    };
    let (base, head) = (open(&base, "base")?, open(head, "head")?);
    let seconds: u64 = matches.get_one("speed").copied().unwrap_or(3);
    let request = Request {
        base: &base,
        head: &head,
        speed: Duration::from_secs(seconds),
    };
    let progress = Progress::start();
    Ok(diff(&engine, &request, |n, of, step| {
        progress.step(n, of, step)
    }))
}

/// A review that was written as JSON.
fn read(file: &Path) -> anyhow::Result<Review> {
    let shown = file.display();
    let bytes = fs::read(file).with_context(|| format!("{shown} can't be read"))?;
    let review: Review = serde_json::from_slice(&bytes)
        .with_context(|| format!("{shown} is not a review in JSON"))?;
    if review.form != FORM {
        bail!("{shown} is a review of another form than {FORM}: make it anew");
    }
    Ok(review)
}

/// Writes a file whole or not at all.
fn put(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let shown = || format!("{} can't be written", file.display());
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let beside = Scratch::within(folder).with_context(shown)?;
    let part = beside.path().join("part");
    fs::write(&part, bytes).with_context(shown)?;
    fs::rename(&part, file).with_context(shown)
}
