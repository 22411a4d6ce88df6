//! `modelship probe`: asks a running service whether it is ready. The image
//! has no shell and no curl; its health check is this.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Usage, expect};
use crate::config::Config;

/// A health check that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than any answer of these paths.
const LONGEST_ANSWER: u64 = 16 * 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  modelship probe                                   is the service on this machine ready?
  modelship probe http://localhost:9000/livez       is that one alive?
  modelship probe --expect release.json http://pods:8080
                                                    does each of them serve what git holds?";

pub(super) fn command() -> Command {
    Command::new("probe")
        .about("Asks a running service whether it is ready: exit status 0 or 1")
        .after_help(EXAMPLES)
        .arg(Arg::new("url").value_name("URL").help(
            "What to ask, over plain HTTP [default: /readyz on the port of MODELSHIP_MANAGEMENT_LISTEN or MODELSHIP_LISTEN]",
        ))
        .arg(
            Arg::new("expect")
                .long("expect")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help(
                    "A release's list of models: every address of the URL's host must serve \
                     these versions with these sha256, and no others",
                ),
        )
        .arg(key_file())
}

/// The argument for a key.
pub(super) fn key_file() -> Arg {
    Arg::new("key-file")
        .long("key-file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("A file that holds the key to show, where the service asks for one")
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let target = Target::of(matches)?;
    if let Some(file) = matches.get_one::<PathBuf>("expect") {
        return expect::run(&target, file);
    }
    let url = format!("http://{}{}", target.host, target.path);
    let (status, body) = target
        .get()
        .with_context(|| format!("{url} gave no answer"))?;
    if status != 200 {
        bail!("{url} answered {status}: {body}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The key in a file, which goes into a request's head.
fn key(file: &Path) -> anyhow::Result<String> {
    let text =
        fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
        bail!("{} does not hold a key, and nothing else", file.display());
    }
    Ok(key.to_owned())
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    path: String,
    key: Option<String>,
}

impl Target {
    /// What the arguments `url` and `key-file` name.
    pub(super) fn of(matches: &ArgMatches) -> anyhow::Result<Self> {
        let mut target = match matches.get_one::<String>("url") {
            Some(url) => Self::parse(url).ok_or_else(|| {
                Usage(vec![format!(
                    "\"{url}\" is not a URL of plain HTTP: write one such as http://localhost:8080/readyz"
                )])
            })?,
            None => Self::here()?,
        };
        if let Some(file) = matches.get_one::<PathBuf>("key-file") {
            target.key = Some(key(file)?);
        }
        Ok(target)
    }

    /// The same service, at another path.
    pub(super) fn at(self, path: String) -> Self {
        Self { path, ..self }
    }

    /// `http://HOST[:PORT][/PATH]`; `http://` may be left out.
    fn parse(url: &str) -> Option<Self> {
        let rest = match url.split_once("://") {
            Some((scheme, rest)) => scheme.eq_ignore_ascii_case("http").then_some(rest)?,
            None => url,
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // Both go into a request's head.
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if host.is_empty() || !plain(host) || !plain(path) {
            return None;
        }
        let with_port = match host.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => host.to_owned(),
            _ => format!("{host}:80"),
        };
        let path = if path.is_empty() { "/readyz" } else { path };
        Some(Self {
            host: with_port,
            path: path.to_owned(),
            key: None,
        })
    }

    /// The service of this machine, on the port that it was told by variable
    /// or file.
    fn here() -> Result<Self, Usage> {
        let config = Config::load([], std::env::vars_os())
            .map_err(|problems| Usage(problems.iter().map(ToString::to_string).collect()))?;
        if config.doors.tls_cert.is_some() && config.doors.management.is_none() {
            return Err(Usage(vec![
                "the service speaks TLS: give it a port for probes with the setting \
                 management-listen"
                    .to_owned(),
            ]));
        }
        let mut listen = config.doors.management.unwrap_or(config.listen);
        if listen.ip().is_unspecified() {
            listen.set_ip(match listen {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        Ok(Self {
            host: listen.to_string(),
            path: "/readyz".to_owned(),
            key: None,
        })
    }

    /// The status and the body.
    pub(super) fn get(&self) -> anyhow::Result<(u16, String)> {
        let mut refused = None;
        let connected = self.host.to_socket_addrs()?.find_map(|address| {
            let stream = TcpStream::connect_timeout(&address, PATIENCE);
            stream.map_err(|error| refused = Some(error)).ok()
        });
        let Some(stream) = connected else {
            return Err(refused.map_or_else(
                || anyhow::anyhow!("the name {} has no address", self.host),
                anyhow::Error::from,
            ));
        };
        self.ask(stream, &self.path)
    }

    /// The same from one address of the host, and for another path.
    pub(super) fn get_from(
        &self,
        address: SocketAddr,
        path: &str,
    ) -> anyhow::Result<(u16, String)> {
        self.ask(TcpStream::connect_timeout(&address, PATIENCE)?, path)
    }

    fn ask(&self, mut stream: TcpStream, path: &str) -> anyhow::Result<(u16, String)> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let host = &self.host;
        let key = self.key.as_ref();
        let authorization = key.map_or_else(String::new, |key| {
            format!("authorization: Bearer {key}\r\n")
        });
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: modelship-probe\r\n\
             {authorization}connection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
            .context("this is not HTTP")?;
        Ok((status, body.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, host, path) in [
            ("http://localhost:9000/livez", "localhost:9000", "/livez"),
            ("localhost:9000", "localhost:9000", "/readyz"),
            ("HTTP://example.com", "example.com:80", "/readyz"),
            ("http://[::1]:8080/", "[::1]:8080", "/"),
            ("http://[::1]/x?y=1", "[::1]:80", "/x?y=1"),
        ] {
            let expected = Target {
                host: host.to_owned(),
                path: path.to_owned(),
                key: None,
            };
            assert_eq!(Target::parse(url), Some(expected), "{url}");
        }
        for url in [
            "https://localhost",
            "http://",
            "",
            "/readyz",
            "http://a b/",
            "h:80/\r\nx: y",
        ] {
            assert_eq!(Target::parse(url), None, "{url}");
        }
    }
}
