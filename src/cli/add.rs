//! `modelship add`.

mod cases;
mod files;
mod manifest;
mod next;
mod place;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use self::{
    cases::Sources,
    files::{Bytes, Prepared},
    place::Place,
};
use super::{Usage, flag, progress::Progress, scratch};
use crate::{
    engine::{self, OnnxRuntime},
    repository::{
        self, GoldenCase, MANIFEST, Problem, Tolerance, VerifiedModel, Version, check_name, plain,
        shell,
        signature::{SIGNATURE, Signed},
    },
    review::{exercise::Loaded, rows::Features, size},
};

const EXAMPLES: &str = "\
FILE is stamped with the version, hashed, and listed in model.toml; nothing else in it changes.
Golden cases are what the model must go on to answer. --cases takes them from
  cases.jsonl        one input a line: 21, [5.1, 3.5], {\"age\": 40, \"city\": \"Ulm\"},
                     or a whole request of the Open Inference Protocol, its outputs with it
  cases.csv          one input a row, with the names of inputs or features in the first line
  test_data_set_0/   ONNX's own form, or a folder that holds such folders
Without it the inputs of the version before are kept, and a new model's are drawn at random.

Examples:
  modelship add model.onnx --name churn --version v1.0.0 --cases known.csv
  modelship add retrained.onnx --name churn --version v1.1.0
  modelship add other.onnx --name churn --version v2.0.0 --beside";

pub(super) fn command() -> Command {
    Command::new("add")
        .about("Adds a model, or replaces its file by a new version")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The ONNX file; external data is copied with it"),
        )
        .arg(flag("name", "NAME", "The model's name").required(true))
        .arg(
            flag(
                "version",
                "VERSION",
                "The version: v1.2.0; newer than the one that stands",
            )
            .required(true),
        )
        .arg(
            flag("models", "FOLDER", "The folder of the model repository")
                .default_value("models")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            flag(
                "cases",
                "FILE",
                "Golden cases: JSON lines, CSV, or a folder of ONNX's test data",
            )
            .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            flag(
                "max-cases",
                "COUNT",
                "The most golden cases that --cases gives",
            )
            .default_value("64")
            .value_parser(value_parser!(u64).range(1..)),
        )
        .arg(flag(
            "description",
            "TEXT",
            "What the model predicts, in a sentence",
        ))
        .arg(flag(
            "license",
            "SPDX",
            "The licence that the model may be used under",
        ))
        .arg(
            Arg::new("beside")
                .long("beside")
                .env("MODELSHIP_BESIDE")
                .hide_env(true)
                .action(ArgAction::SetTrue)
                .help("Keep the version that stands, and serve both"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let request = Request::of(matches)?;
    let engine = OnnxRuntime::start(&engine::find_library()?)?;
    let progress = Progress::start();
    let added = request.add(&engine, &progress)?;
    drop(progress);
    super::write_out(added.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What was asked for.
struct Request {
    file: PathBuf,
    name: String,
    version: Version,
    models: PathBuf,
    cases: Option<PathBuf>,
    max_cases: usize,
    description: Option<String>,
    license: Option<String>,
    beside: bool,
}

impl Request {
    fn of(matches: &ArgMatches) -> Result<Self, Usage> {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
        let mut mistakes = Vec::new();
        let name = text("name").unwrap_or_default();
        if let Err(e) = check_name(&name) {
            mistakes.push(format!("--name \"{}\": {e}", plain(&name)));
        }
        let version = text("version").unwrap_or_default();
        let parsed = version.parse::<Version>();
        if let Err(e) = &parsed {
            mistakes.push(format!("--version \"{}\": {e}", plain(&version)));
        }
        let max_cases = matches.get_one::<u64>("max-cases").copied().unwrap_or(64);
        match parsed {
            Ok(version) if mistakes.is_empty() => Ok(Self {
                file: path("file").unwrap_or_default(),
                name,
                version,
                models: path("models").unwrap_or_default(),
                cases: path("cases"),
                max_cases: usize::try_from(max_cases).unwrap_or(usize::MAX),
                description: text("description").filter(|t| !t.trim().is_empty()),
                license: text("license").filter(|t| !t.trim().is_empty()),
                beside: matches.get_flag("beside"),
            }),
            _ => Err(Usage(mistakes)),
        }
    }

    /// Adds the version, and gives what to tell of it.
    fn add(&self, engine: &OnnxRuntime, progress: &Progress) -> anyhow::Result<String> {
        scratch::clear_left_behind(&self.models);
        let place = Place::find(&self.models, &self.name, &self.version, self.beside)?;
        let before = place.standing.as_ref().map(|own| &own.manifest);
        let graph = before.map_or("model.onnx", |m| &m.graph().path).to_owned();
        progress.step(0, 4, "reading and stamping");
        let bytes = Bytes::read(&self.file, &graph, &self.version)?;
        place.admit(&self.name, &self.version, &bytes.files, self.beside)?;

        progress.step(1, 4, "loading");
        let verified = self.verified(&bytes, before)?;
        let mut loaded = Loaded::of(engine, &verified)
            .with_context(|| format!("{} can't be added", self.file.display()))?;

        progress.step(2, 4, "recording golden cases");
        let standing = standing_cases(&place);
        let none = Features::new();
        let recorded = cases::record(
            &mut loaded,
            &Sources {
                file: self.cases.as_deref(),
                most: self.max_cases,
                standing: &standing,
                features: before.map_or(&none, |m| &m.features),
                tolerance: before.map_or_else(Tolerance::default, |m| m.tolerance),
                seed: &self.name,
            },
        )?;

        progress.step(3, 4, "writing");
        let here = env::current_dir();
        let was_signed = place.standing.is_some() && place.folder.join(SIGNATURE).exists();
        self.write(&place, &bytes, &recorded)?;
        // Run in the folder that was replaced, it stands in one that is gone.
        let was_moved = env::current_dir().is_err()
            && here.is_ok_and(|here| env::set_current_dir(here).is_ok());
        let mut told = self.told(&place, &bytes, &recorded, was_moved);
        if was_signed {
            told += &format!(
                "  {SIGNATURE} was on the files of before, and is gone: `modelship sign {} --key FILE`, \
                 or whoever signs, before the commit\n",
                shell(&place.folder)
            );
        }
        Ok(told)
    }

    /// The model as a verified one, before it stands anywhere.
    fn verified(
        &self,
        bytes: &Bytes,
        before: Option<&repository::Manifest>,
    ) -> anyhow::Result<VerifiedModel> {
        let none = Features::new();
        let text = manifest::new(&self.content(bytes, &none));
        let mut manifest = repository::Manifest::parse(Path::new(MANIFEST), &text)
            .map_err(|problems| anyhow::anyhow!("{}", lines(&problems)))?;
        if let Some(before) = before {
            manifest.scheduling = before.scheduling.clone();
        }
        Ok(VerifiedModel {
            id: repository::ModelId {
                name: manifest.name.clone(),
                version: manifest.version.clone(),
                content: repository::Digest::of(text.as_bytes()),
            },
            manifest,
            bytes: bytes.model.clone(),
            outline: bytes.outline.clone(),
            cases: Vec::new(),
            signed: Signed::Unsigned,
        })
    }

    fn content<'a>(&'a self, bytes: &'a Bytes, features: &'a Features) -> manifest::Content<'a> {
        manifest::Content {
            name: &self.name,
            version: &self.version,
            description: self.description.as_deref(),
            license: self.license.as_deref(),
            files: &bytes.files,
            features,
        }
    }

    fn write(
        &self,
        place: &Place,
        bytes: &Bytes,
        recorded: &cases::Recorded,
    ) -> anyhow::Result<()> {
        let mut prepared = Prepared::in_repository(&self.models)?;
        for (path, own) in bytes.each() {
            prepared.write(path, own)?;
        }
        for case in &recorded.cases {
            prepared.write(
                &format!("cases/{}.json", case.name),
                case.to_json().as_bytes(),
            )?;
        }
        let file = place.folder.join(MANIFEST);
        let content = self.content(bytes, &recorded.features);
        let text = match &place.standing {
            None => manifest::new(&content),
            Some(_) => {
                let old = fs::read_to_string(&file)
                    .with_context(|| format!("{} can't be read", file.display()))?;
                manifest::edited(&file, &old, &content)?
            }
        };
        if let Err(problems) = repository::Manifest::parse(&file, &text) {
            bail!("{}", lines(&problems));
        }
        prepared.write(MANIFEST, text.as_bytes())?;
        let mut stale = Vec::new();
        if let Some(own) = &place.standing {
            let gone = own
                .manifest
                .files
                .iter()
                .filter(|f| bytes.files.iter().all(|n| n.path != f.path));
            stale.extend(gone.map(|f| PathBuf::from(&f.path)));
            let names = standing_cases(place).into_iter().map(|case| case.name);
            let gone = names.filter(|name| recorded.cases.iter().all(|c| c.name != *name));
            stale.extend(gone.map(|name| PathBuf::from(format!("cases/{name}.json"))));
            // It is on the files of before.
            stale.push(PathBuf::from(SIGNATURE));
        }
        prepared.commit(&place.folder, &stale).map(drop)
    }

    /// What was done, and what to do next.
    fn told(
        &self,
        place: &Place,
        bytes: &Bytes,
        recorded: &cases::Recorded,
        was_moved: bool,
    ) -> String {
        let Self { name, version, .. } = self;
        let folder = plain(&place.folder.display().to_string());
        let from = place
            .standing
            .as_ref()
            .map(|own| own.id.version.to_string());
        let from = from.filter(|from| *from != version.to_string());
        let step = from
            .map(|from| format!(" in place of {from}"))
            .unwrap_or_default();
        let mut out = format!(
            "{name} {version} stands in {folder}{step}: {}, sha256 {}, {} golden cases\n",
            size(bytes.size()),
            bytes.files[0].sha256.short(),
            recorded.cases.len()
        );
        for note in &recorded.notes {
            out += &format!("  {}\n", plain(note));
        }
        if let Some(own) = &place.standing
            && !own.manifest.ranges.is_empty()
            && own.id.version != *version
        {
            out += &format!(
                "  [ranges] in {folder}/{MANIFEST} are still those of {}: set them to what {version} was \
                 trained on\n",
                own.id.version
            );
        }
        if place.standing.is_none() && self.description.is_none() {
            out += &format!(
                "  {folder}/{MANIFEST} wants a description: say what the model predicts\n"
            );
        }
        let left = repository::scan_folder(&place.folder).and_then(|own| repository::read(&own));
        for problem in left.err().into_iter().flatten() {
            out += &format!("  still wrong: {problem}\n");
        }
        out + &next::steps(&self.models, &place.folder, (name, version), was_moved)
    }
}

fn standing_cases(place: &Place) -> Vec<GoldenCase> {
    let folder = place.folder.join("cases");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut cases: Vec<GoldenCase> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .filter_map(|path| GoldenCase::parse(&path, &fs::read(&path).ok()?).ok())
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}
