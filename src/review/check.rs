//! Everything that can be verified of a model repository, in one pass.

mod files;
mod history;
mod own;
mod ranges;
mod signatures;
mod workers;

use std::{panic::resume_unwind, path::Path, thread};

use serde::Serialize;

use self::history::Against;
use super::side::Side;
use crate::{
    engine::{Engine, ModelBytes, Threads},
    repository::{self, Problem, Scan, signature::Trust},
};

/// The description that `modelship add` writes where none is given.
pub const NO_DESCRIPTION: &str = "Say here what it predicts, and from what";

/// What to check.
pub struct Request<'a> {
    /// The folder of the models.
    pub models: &'a Path,
    /// What stood before, to hold versions and signatures against.
    pub against: Option<&'a Side>,
    /// Files larger than this, in bytes, must be in Git LFS.
    pub large_file: u64,
    /// Whose signatures count.
    pub trust: &'a Trust,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The engine that the models ran in.
    pub engine: String,
    /// The models that could be loaded.
    pub models: Vec<Checked>,
    /// What is wrong or deserves a look, errors first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_right(&self) -> bool {
        self.findings.iter().all(|f| f.severity != Severity::Error)
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule that it breaks.
    pub rule: Rule,
    /// Where, what, and what to do.
    #[serde(flatten)]
    pub problem: Problem,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The model must not be merged so.
    Error,
    /// It may, but a person should know.
    Warning,
}

/// The rule that a finding breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Manifests, hashes, stamps, and what lies in the folders.
    Repository,
    /// The structural rules of ONNX.
    Structure,
    /// ONNX Runtime loads and runs it.
    Engine,
    /// Golden cases hold.
    GoldenCase,
    /// A batch gives what its rows give alone.
    Batch,
    /// Names of columns fit the inputs.
    Features,
    /// What it was trained on fits the inputs.
    Ranges,
    /// Large files are in Git LFS, and nothing that is listed is ignored.
    Git,
    /// Versions fit what changed.
    Version,
    /// A signature is on the files that are there, and holds.
    Signature,
}

/// A model that could be loaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The bytes of its files together.
    pub bytes: u64,
    /// Its golden cases.
    pub cases: usize,
    /// Those that were drawn at random.
    pub sampled_cases: usize,
    /// How long the load took, in milliseconds.
    pub load_milliseconds: f64,
    /// How much memory the load took, in bytes; absent where the system does
    /// not say.
    pub load_memory: Option<u64>,
    /// `on`, or why requests are not put together.
    pub batching: String,
}

/// Checks a model repository. `on_model` hears of each model before it is
/// looked at: its number, how many there are, and its name.
pub fn check(
    engine: &dyn Engine,
    request: &Request<'_>,
    on_model: impl FnMut(usize, usize, &str) + Send,
) -> Report {
    prepare(engine);
    Seen::of(request, || false).run(engine, on_model)
}

/// Has `engine` load a model of nothing: what it takes for itself at its first
/// load is no other model's. It may be done while the repository is looked at.
pub fn prepare(engine: &dyn Engine) {
    // y = x, of any shape: ONNX's messages, written out.
    // <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>
    const NOTHING: &[u8] = b"\x08\x08\
        \x3a\x2b\
        \x0a\x10\x0a\x01x\x12\x01y\x22\x08Identity\
        \x12\x01g\
        \x5a\x09\x0a\x01x\x12\x04\x0a\x02\x08\x01\
        \x62\x09\x0a\x01y\x12\x04\x0a\x02\x08\x01\
        \x42\x02\x10\x0d";
    let bytes = ModelBytes {
        graph: NOTHING.into(),
        external: Vec::new(),
    };
    // An engine that can't will say so of a model.
    let loaded = engine.load(&bytes, Threads { intra: 1 });
    drop(loaded.and_then(|model| model.session()));
}

/// What can be seen of a model repository before anything runs: it may be
/// looked at while the engine starts and is [prepared](prepare).
pub struct Seen<'a> {
    scan: Scan,
    /// What was read of the first candidates already.
    ahead: Vec<workers::Read>,
    findings: Findings,
    against: Option<Against<'a>>,
    trust: &'a Trust,
}

impl<'a> Seen<'a> {
    /// Looks at the repository. While `has_time`, small models are read and
    /// proved as well, one after the other.
    pub fn of(request: &Request<'a>, has_time: impl Fn() -> bool) -> Self {
        let mut findings = Findings::default();
        let (scan, git) = thread::scope(|scope| {
            // git is waited for more than it works.
            let git = thread::Builder::new()
                .spawn_scoped(scope, || files::Git::of(request.models))
                .ok();
            let scan = repository::scan(request.models);
            files::misplaced(request.models, &mut findings);
            let git = match git.map(|git| git.join()) {
                Some(git) => git.unwrap_or_else(|panic| resume_unwind(panic)),
                None => files::Git::of(request.models),
            };
            (scan, git)
        });
        findings.add_all(
            Severity::Error,
            Rule::Repository,
            scan.problems.iter().cloned(),
        );
        if scan.candidates.is_empty() && scan.problems.is_empty() {
            let remedy = "add a model with `modelship add`, or name another folder with --models";
            let problem = Problem::new(request.models, "it holds no model", remedy);
            findings.add(Severity::Error, Rule::Repository, problem);
        }
        if let Some(git) = git {
            files::git(request, git, &scan, &mut findings);
        }
        let against = request
            .against
            .map(|base| Against::new(base, request.models, &scan, &mut findings));
        let ahead = workers::read_ahead(&scan.candidates, has_time);
        Self {
            scan,
            ahead,
            findings,
            against,
            trust: request.trust,
        }
    }

    /// Runs each model, as [`check`] does.
    pub fn run(
        mut self,
        engine: &dyn Engine,
        on_model: impl FnMut(usize, usize, &str) + Send,
    ) -> Report {
        let candidates = &self.scan.candidates;
        let mut models = Vec::new();
        let learned = workers::look(engine, self.trust, (candidates, self.ahead), on_model);
        for (own, candidate) in learned.into_iter().zip(candidates) {
            self.findings.0.extend(own.findings.0);
            if let (Some(against), Some((_, signature))) = (&self.against, &own.model) {
                against.signature(engine, candidate, signature, &mut self.findings);
            }
            models.extend(own.model.map(|(checked, _)| checked));
        }
        Report {
            engine: engine.version(),
            models,
            findings: self.findings.sorted(),
        }
    }
}

/// Findings as they come up.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, severity: Severity, rule: Rule, problem: Problem) {
        self.0.push(Finding {
            severity,
            rule,
            problem,
        });
    }

    fn add_all(
        &mut self,
        severity: Severity,
        rule: Rule,
        problems: impl IntoIterator<Item = Problem>,
    ) {
        for problem in problems {
            self.add(severity, rule, problem);
        }
    }

    fn sorted(mut self) -> Vec<Finding> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}
