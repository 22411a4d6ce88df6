//! The one table of settings, from which come flags, variables, the keys of
//! the file, `--help`, and the table in the README.

use std::fmt::{self, Write as _};

use super::{Config, PREFIX, doors, trace, units, values};
use crate::transport::limits;

/// One setting.
pub struct Setting {
    /// The flag without its dashes, which is also the key in the file.
    pub name: &'static str,
    /// What the value is, for `--help`; empty for a switch.
    pub value: &'static str,
    /// What it is when nothing says otherwise; `None` where `help` says it.
    pub default: Option<&'static str>,
    /// What it does, in a sentence.
    pub help: &'static str,
    /// Under which heading `--help` shows it.
    pub heading: Heading,
    pub(super) apply: fn(&mut Config, &str) -> Result<(), String>,
}

/// What a setting is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heading {
    /// What is served.
    Models,
    /// The port.
    Network,
    /// Who may come in.
    Doors,
    /// What one caller may take.
    Limits,
    /// How requests meet the model.
    Scheduling,
    /// What happens on SIGTERM.
    Stopping,
    /// What is written to standard error.
    Logs,
    /// What a collector is sent.
    Traces,
    /// Where the settings and files came from.
    Origin,
}

impl fmt::Display for Heading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Heading::Models => "Models",
            Heading::Network => "Network",
            Heading::Doors => "Doors: who may come in",
            Heading::Limits => "Limits: what one caller may take",
            Heading::Scheduling => "Scheduling, where a model.toml does not say otherwise",
            Heading::Stopping => "Stopping",
            Heading::Logs => "Logs",
            Heading::Traces => "Traces",
            Heading::Origin => "Origin",
        })
    }
}

impl Setting {
    /// The variable of the environment.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.replace('-', "_").to_uppercase())
    }

    /// Whether the flag stands alone, without a value.
    pub fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    /// Every setting as a Markdown table.
    pub fn markdown() -> String {
        let mut table = String::from("| setting | default | what it does |\n| --- | --- | --- |\n");
        for setting in SETTINGS {
            let default = setting
                .default
                .map_or_else(String::new, |d| format!("`{d}`"));
            let help = setting.help.replace('|', "\\|");
            let _ = writeln!(table, "| `{}` | {default} | {help} |", setting.name);
        }
        table
    }
}

/// The setting of this name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

macro_rules! settings {
    ($($heading:ident {$(
        $name:literal $value:literal $(= $default:literal)?, $help:literal,
        |$config:ident, $text:ident| $apply:expr;
    )+})+) => {
        /// Every setting, in the order of `--help`.
        pub const SETTINGS: &[Setting] = &[$($(Setting {
            name: $name,
            value: $value,
            default: settings!(@default $($default)?),
            help: $help,
            heading: Heading::$heading,
            apply: |$config, $text| {
                $apply;
                Ok(())
            },
        },)+)+];
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

settings! {
    Models {
        "models" "FOLDER" = "models", "The model repository: every folder in it that holds a model.toml is served",
            |config, text| config.models = values::not_empty(text)?.into();
        "default-model" "NAME", "The model that answers where a request names none, as /predict/21; without it, the only one",
            |config, text| config.default_model = Some(values::not_empty(text)?.to_owned());
        "version-policy" "POLICY" = "all", "Which versions of each model are served: all, latest:N, or specific:v1.0.0,v1.1.0",
            |config, text| config.version_policy = text.parse()?;
        "public-key" "FILES", "The public keys, as PEM, that models are signed by, with commas between the files; a signature that is there must then hold. Changed files are taken without a restart",
            |config, text| config.signers.keys = values::files(text)?;
        "certificate-authority" "FILES", "Who makes the certificates that models are signed by, as PEM, with commas between the files",
            |config, text| config.signers.authorities = values::files(text)?;
        "signer-identity" "NAME", "Who signs models without a key of their own: an address, or a workflow's URI",
            |config, text| config.signers.identity = Some(values::not_empty(text)?.to_owned());
        "signer-issuer" "URL", "Whom they proved that to",
            |config, text| config.signers.issuer = Some(values::not_empty(text)?.to_owned());
        "trust-root" "FILE", "Sigstore's trusted root: the authorities and logs that such signatures are verified by. Nothing is fetched",
            |config, text| config.signers.trust_root = Some(values::not_empty(text)?.into());
        "require-signature" "" = "false", "Refuse a model that is not signed",
            |config, text| config.signers.require = values::boolean(text)?;
        "watch" "HOW" = "auto", "How changes of the repository are noticed: auto (file events and polling), poll, or off for files that can't change",
            |config, text| config.watch = values::watch(text)?;
        "watch-interval" "DURATION" = "1s", "How long the repository must be still before a change is taken, and the time between polls",
            |config, text| config.watch_interval = units::duration(text)?;
        "prove-apart" "" = "false", "Load and prove a version that is swapped in in a process of its own first: one that ends it, by a fault in the native library, ends nothing else. It takes the model's memory twice meanwhile",
            |config, text| config.prove_apart = values::boolean(text)?;
        "allow-repository-control" "" = "false", "Let callers load and unload models through the repository extension",
            |config, text| config.allow_repository_control = values::boolean(text)?;
    }
    Network {
        "listen" "ADDRESS" = "0.0.0.0:8080", "The one address for HTTP/1.1, HTTP/2 and gRPC; port 0 takes a free one",
            |config, text| config.listen = values::address(text)?;
        "max-body-size" "SIZE" = "64MiB", "The largest body of a request; a larger one is refused with 413",
            |config, text| config.max_body_size = units::size(text)?;
        "request-memory" "SIZE", "What requests may take of memory together: 413 for one that can never fit, else 429. Without it, a third of the container's limit, or of the machine's memory",
            |config, text| config.request_memory = Some(units::size(text)?);
        "event-loops" "N", "Threads that serve connections; without it, one for each CPU that the container may use",
            |config, text| config.event_loops = values::count(text, 1..=1024)?;
    }
    Doors {
        "tls-cert" "FILE", "The certificate to show, as PEM, with those that lead from it to a root; the port then speaks TLS alone. Renewed files are taken without a restart",
            |config, text| config.doors.tls_cert = Some(values::not_empty(text)?.into());
        "tls-key" "FILE", "The certificate's private key, as PEM",
            |config, text| config.doors.tls_key = Some(values::not_empty(text)?.into());
        "tls-client-ca" "FILE", "Callers must show a certificate that one of these has signed, as PEM",
            |config, text| config.doors.tls_client_ca = Some(values::not_empty(text)?.into());
        "api-keys" "FILE", "Callers must show a key that is in this file; modelship api-key makes one and its line. A changed file is taken without a restart",
            |config, text| config.doors.api_keys = Some(values::not_empty(text)?.into());
        "cors-origin" "ORIGINS", "The origins whose pages may read answers, with commas between them, or * for all; without it, none",
            |config, text| config.doors.origins = Some(doors::origins(text)?);
        "management-listen" "ADDRESS", "An address of its own, without TLS, for health, metrics and control of the model repository; the main one then answers health alone of these",
            |config, text| config.doors.management = Some(values::address(text)?);
        "max-connections" "N", "The most connections at once, but for some on which health is answered; without it, what the limit on open files leaves",
            |config, text| config.doors.max_connections = Some(values::count(text, 1..=10_000_000)?);
    }
    Limits {
        "max-head-size" "SIZE" = "64KiB", "The largest head of a request, from 8KiB to 16MiB; one that is larger by more than a read is refused with 431",
            |config, text| config.connection.head = units::size_within(text, &limits::Connection::HEADS)?;
        "head-timeout" "DURATION" = "15s", "How long a request's head may take, and the first bytes of a connection; then the connection is cut",
            |config, text| config.connection.head_timeout = units::time(text)?;
        "body-timeout" "DURATION" = "60s", "How long a request's body, or a message of a stream, may take to arrive; then the request fails with 504",
            |config, text| config.body_timeout = units::time(text)?;
        "idle-timeout" "DURATION" = "75s", "How long a connection over HTTP/1.1 is kept that nobody uses: longer than load balancers keep theirs",
            |config, text| config.connection.idle_timeout = units::time(text)?;
        "max-streams" "N" = "256", "The most streams at once on one connection over HTTP/2",
            |config, text| config.connection.streams = values::number(text, 1..=1_000_000)?;
        "max-compression-ratio" "N" = "200", "How many times its own size a compressed body or message may become, where that is more than 8MiB; what becomes more is refused with 413. gzip makes zeros 1/1032",
            |config, text| config.max_compression_ratio = values::count(text, 1..=1_000_000)?;
        "max-tensor-elements" "N" = "100000000", "The most elements of one input; a larger one is refused with 413",
            |config, text| config.max_tensor_elements = values::count(text, 1..=1_000_000_000_000)?;
        "max-json-depth" "N" = "128", "How many lists and objects may stand within each other in an inference request's JSON; a deeper one is refused with 400",
            |config, text| config.max_json_depth = values::count(text, 4..=1_000_000)?;
    }
    Scheduling {
        "max-batch-size" "ROWS", "The most rows of one run; 1 turns batching off",
            |config, text| config.scheduling.max_batch_size = Some(values::count(text, 1..=1_000_000)?);
        "max-queue-size" "ROWS", "The most rows that wait; more are refused with 429",
            |config, text| config.scheduling.max_queue_size = Some(values::count(text, 1..=100_000_000)?);
        "max-queue-bytes" "SIZE", "The most bytes of inputs that wait; where more come, the client that holds most gives way, as with rows",
            |config, text| config.scheduling.max_queue_bytes = Some(units::size(text)?);
        "max-queue-delay" "DURATION", "How long an idle instance waits for a batch to fill; without it, not at all",
            |config, text| config.scheduling.max_queue_delay = units::duration(text)?.into();
        "max-run-time" "DURATION" = "30s", "How long a run of a model may take; then it is ended, and the request fails with 504",
            |config, text| config.scheduling.max_run_time = units::duration(text)?.into();
        "instances" "N", "How many instances run each model at once",
            |config, text| config.scheduling.instances = Some(values::count(text, 1..=1024)?);
        "intra-threads" "N", "Threads inside one run of a model; without it one, with an instance for each CPU",
            |config, text| config.scheduling.intra_threads = Some(values::count(text, 1..=1024)?);
        "placement" "WHERE" = "auto", "Where models run: inline on the event loops, on threads of their own, or auto, as the warm-up measures",
            |config, text| config.scheduling.placement = values::placement(text)?;
        "background" "HOW" = "auto", "How loads and long runs give way to requests: idle (they get what nobody else wants), nice, or auto: idle where this control group has a CPU weight, as a container has",
            |config, text| config.background = values::background(text)?;
    }
    Stopping {
        "drain-pause" "DURATION" = "0s", "After SIGTERM, how long /readyz says 503 before new connections are refused; in Kubernetes 5s lets the endpoints spread",
            |config, text| config.drain_pause = units::duration(text)?;
        "drain-timeout" "DURATION" = "30s", "How long requests in flight may take after that",
            |config, text| config.drain_timeout = units::duration(text)?;
    }
    Logs {
        "log-format" "FORMAT" = "auto", "text, json, or auto: text on a terminal, JSON elsewhere",
            |config, text| config.log_format = values::log_format(text)?;
        "log-level" "LEVEL" = "info", "off, error, warn, info, debug or trace, also by module: warn,modelship=debug",
            |config, text| config.log_level = values::filter(text)?;
        "access-log" "" = "false", "Log every request with its id, path, status and time",
            |config, text| config.access_log = values::boolean(text)?;
        "access-log-share" "SHARE" = "1", "The share of requests that the access log shows, from 0 to 1; the same id is shown everywhere or nowhere",
            |config, text| config.access_log_share = trace::share(text)?;
        "slow-log" "DURATION" = "1s", "How long a request to a model takes that leaves a line in the log, with the reason; off for none",
            |config, text| config.slow_log = values::limit(text)?;
    }
    Traces {
        "trace-endpoint" "URL", "The OpenTelemetry collector that spans are sent to, http://host:4317; without one, nothing is traced",
            |config, text| config.trace.endpoint = Some(trace::endpoint(text)?);
        "trace-protocol" "HOW" = "grpc", "How the collector is spoken to: grpc, or http for protobuf over HTTP, whose port is 4318",
            |config, text| config.trace.protocol = trace::protocol(text)?;
        "trace-share" "SHARE" = "1", "The share of requests that are traced where their caller has not decided, from 0 to 1",
            |config, text| config.trace.share = trace::share(text)?;
    }
    Origin {
        "config" "FILE", "A TOML file of settings, with these names as its keys; flags and variables beat it",
            // Read before all others, by `Config::load`.
            |_config, text| { values::not_empty(text)?; };
        "commit" "SHA", "The git commit that is served, for the model card",
            |config, text| config.commit = Some(values::not_empty(text)?.to_owned());
        "image" "REFERENCE", "The image that is served, for the model card",
            |config, text| config.image = Some(values::not_empty(text)?.to_owned());
    }
}
