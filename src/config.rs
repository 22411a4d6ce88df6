//! The settings of the service: flags, variables and a file become one
//! validated [`Config`]. Every mistake is found in one pass, and each names
//! its flag, its variable or its line.

mod doors;
mod file;
mod settings;
mod signers;
mod suggestion;
mod trace;
mod units;
mod values;

use std::{
    ffi::{OsStr, OsString},
    fmt,
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

pub use self::{
    doors::Doors,
    settings::{Heading, SETTINGS, Setting},
    trace::Trace,
    values::LogFormat,
};
use crate::{catalog, repository::signature, scheduler, transport::limits};

/// Before the name of every variable.
pub const PREFIX: &str = "MODELSHIP_";

/// What the service was told to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The folder of the model repository.
    pub models: PathBuf,
    /// The model that answers where none is named.
    pub default_model: Option<String>,
    /// Whether callers may load and unload models.
    pub allow_repository_control: bool,
    /// Which versions of each model are served.
    pub version_policy: catalog::VersionPolicy,
    /// Whose signatures on models count.
    pub signers: signature::Signers,
    /// How the repository is followed.
    pub watch: catalog::Watch,
    /// How long the repository must be still before a change is taken.
    pub watch_interval: Duration,
    /// Whether a version that is swapped in is proved in a process of its own
    /// first.
    pub prove_apart: bool,
    /// The address of the one port.
    pub listen: SocketAddr,
    /// Who may come in, and how.
    pub doors: Doors,
    /// The most bytes of a request's body.
    pub max_body_size: usize,
    /// How many times its own size a compressed body may become.
    pub max_compression_ratio: usize,
    /// The longest that a body may take to arrive.
    pub body_timeout: Duration,
    /// What holds for each connection.
    pub connection: limits::Connection,
    /// The most elements of one input.
    pub max_tensor_elements: usize,
    /// How many lists and objects of JSON may stand within each other.
    pub max_json_depth: usize,
    /// What requests may take of memory, in bytes; without it, a third of what
    /// the process may have.
    pub request_memory: Option<usize>,
    /// Threads that serve connections.
    pub event_loops: usize,
    /// How loads and long runs give way to the event loops.
    pub background: scheduler::Background,
    /// What holds for a model whose `model.toml` does not say otherwise.
    pub scheduling: scheduler::Settings,
    /// How long the service says that it is not ready before it stops to
    /// accept connections.
    pub drain_pause: Duration,
    /// How long requests in flight may take after that.
    pub drain_timeout: Duration,
    /// How logs are written.
    pub log_format: LogFormat,
    /// What is logged, as `tracing`'s filter.
    pub log_level: String,
    /// Whether each request is logged.
    pub access_log: bool,
    /// The share of requests that are logged so.
    pub access_log_share: f64,
    /// How long a request to a model takes that the log tells of.
    pub slow_log: Option<Duration>,
    /// Where spans go.
    pub trace: Trace,
    /// The git commit that is being served, for the model card.
    pub commit: Option<String>,
    /// The image that is being served, for the model card.
    pub image: Option<String>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag of this name.
    Flag(String),
    /// A variable of this name.
    Variable(String),
    /// A file, and the line in it where there is one.
    File(PathBuf, Option<usize>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(name) => write!(f, "--{name}"),
            Source::Variable(name) => f.write_str(name),
            Source::File(path, None) => write!(f, "{}", path.display()),
            Source::File(path, Some(line)) => write!(f, "{}, line {line}", path.display()),
        }
    }
}

/// A mistake in the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source}: {message}", source = .from)]
pub struct Problem {
    /// Where it stands.
    pub from: Source,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl Config {
    /// The settings that follow from `flags`, given as names without dashes,
    /// and the variables of the environment. A flag beats its variable, which
    /// beats the file that `config` names. An empty variable counts as unset.
    ///
    /// # Errors
    /// Every mistake in any source, those that another source overrides
    /// included.
    pub fn load(
        flags: impl IntoIterator<Item = (String, OsString)>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let flags: Vec<_> = flags.into_iter().collect();
        let variables = known(variables, &mut problems);

        let mut config = Self::unset();
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                let parsed = (setting.apply)(&mut config, default);
                debug_assert_eq!(parsed, Ok(()), "{}", setting.name);
            }
        }

        let of = |name: &str| flags.iter().find(|(flag, _)| flag == name);
        let file = of("config").map(|(_, value)| value).or_else(|| {
            let (_, value) = variables.iter().find(|(s, _)| s.name == "config")?;
            Some(value)
        });
        if let Some(path) = file {
            file::apply(&mut config, PathBuf::from(path), &mut problems);
        }
        for (setting, value) in &variables {
            let from = || Source::Variable(setting.variable());
            apply(&mut config, setting, value, from, &mut problems);
        }
        for (name, value) in &flags {
            let from = || Source::Flag(name.clone());
            match settings::find(name) {
                Some(setting) => apply(&mut config, setting, value, from, &mut problems),
                None => problems.push(Problem {
                    from: from(),
                    message: "there is no such setting".to_owned(),
                }),
            }
        }
        if problems.is_empty() {
            problems = config.doors.problems();
            problems.extend(signers::problems(&config.signers));
        }
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }

    /// What stands where a setting has no default.
    fn unset() -> Self {
        Self {
            models: PathBuf::new(),
            default_model: None,
            allow_repository_control: false,
            version_policy: catalog::VersionPolicy::default(),
            signers: signature::Signers::default(),
            watch: catalog::Watch::default(),
            watch_interval: Duration::ZERO,
            prove_apart: false,
            listen: SocketAddr::from(([0, 0, 0, 0], 0)),
            doors: Doors::default(),
            max_body_size: 0,
            max_compression_ratio: 0,
            body_timeout: Duration::ZERO,
            connection: limits::Connection::default(),
            max_tensor_elements: 0,
            max_json_depth: 0,
            request_memory: None,
            // Counts the CPUs that the container may use, not the machine's.
            event_loops: std::thread::available_parallelism().map_or(1, usize::from),
            background: scheduler::Background::default(),
            scheduling: scheduler::Settings::default(),
            drain_pause: Duration::ZERO,
            drain_timeout: Duration::ZERO,
            log_format: LogFormat::Auto,
            log_level: String::new(),
            access_log: false,
            access_log_share: 1.0,
            slow_log: None,
            trace: Trace::default(),
            commit: None,
            image: None,
        }
    }
}

fn apply(
    config: &mut Config,
    setting: &Setting,
    value: &OsStr,
    from: impl Fn() -> Source,
    problems: &mut Vec<Problem>,
) {
    let applied = match value.to_str() {
        Some(text) => (setting.apply)(config, text.trim()),
        None => Err(format!("\"{}\" is not UTF-8", value.display())),
    };
    if let Err(message) = applied {
        problems.push(Problem {
            from: from(),
            message,
        });
    }
}

/// The variables that are settings. One that is nearly a setting's is a
/// mistake; others are left alone, since Kubernetes makes variables of this
/// prefix for every Service called `modelship`.
fn known(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> Vec<(&'static Setting, OsString)> {
    let mut found = Vec::new();
    for (name, value) in variables {
        let Some(text) = name.to_str().filter(|n| n.starts_with(PREFIX)) else {
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let names = || SETTINGS.iter().map(Setting::variable);
        match SETTINGS.iter().find(|s| s.variable() == text) {
            Some(setting) => found.push((setting, value)),
            None => problems.extend(suggestion::nearest(text, names()).map(|near| Problem {
                from: Source::Variable(text.to_owned()),
                message: format!("there is no such setting; did you mean {near}?"),
            })),
        }
    }
    found
}

#[cfg(test)]
mod tests;
