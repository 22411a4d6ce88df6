//! What is to be sent, how, and for how long.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// A plan. Its bounds keep a mistake from becoming an endless load.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// Where to: a loopback address.
    pub(crate) target: SocketAddr,
    /// From which address, where the system is not to choose it.
    pub(crate) from: Option<IpAddr>,
    /// By which protocol.
    #[serde(default)]
    pub(crate) protocol: Protocol,
    /// The method; gRPC has only POST.
    #[serde(default = "get")]
    pub(crate) method: String,
    /// The path.
    pub(crate) path: String,
    /// Headers beside `host` and `content-length`.
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    /// The file with the body. For gRPC, the message without its prefix.
    pub(crate) body: Option<PathBuf>,
    /// The files with the bodies that may be answered; none: any body may.
    #[serde(default)]
    pub(crate) answers: Vec<PathBuf>,
    /// The file to which the first answer of status 200 is written.
    pub(crate) record: Option<PathBuf>,
    /// How near an answer must come to one of them.
    #[serde(default)]
    pub(crate) compare: Compare,
    /// How many connections.
    pub(crate) connections: usize,
    /// Requests a second over all connections. Without it each connection
    /// sends its next request when it has its answer.
    pub(crate) rate: Option<f64>,
    /// Whether the gaps between these are drawn at random.
    #[serde(default)]
    pub(crate) random: bool,
    /// Seconds before counting starts.
    #[serde(default)]
    pub(crate) warm_up: f64,
    /// Seconds that are counted.
    pub(crate) seconds: f64,
    /// The most requests that are sent in all.
    #[serde(default = "most_requests")]
    pub(crate) requests: u64,
    /// Whether to end early, when standard input closes.
    #[serde(default)]
    pub(crate) until_closed: bool,
    /// The processes of the server, whose CPU time and memory are read.
    #[serde(default)]
    pub(crate) pids: Vec<u32>,
}

/// The protocol of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    #[default]
    Http1,
    Grpc,
}

/// How an answer is compared with those that may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compare {
    /// Byte by byte.
    #[default]
    Exact,
    /// Text: byte by byte, but numbers within a tolerance.
    Text,
    /// The last so many bytes are 32-bit floats, within a tolerance; what is
    /// before them, byte by byte.
    Floats(usize),
}

fn get() -> String {
    "GET".to_owned()
}

fn most_requests() -> u64 {
    50_000_000
}

/// The longest that a plan may take, in seconds.
const LONGEST: f64 = 600.0;

impl Plan {
    /// Checks the bounds.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !self.target.ip().is_loopback() {
            bail!("{} is not a loopback address", self.target);
        }
        if !(1..=4096).contains(&self.connections) {
            bail!("connections must be from 1 to 4096");
        }
        let span = |s: f64| (0.0..=LONGEST).contains(&s);
        if !span(self.warm_up) || !span(self.seconds) || self.seconds == 0.0 {
            bail!("warm_up and seconds must be at most {LONGEST}, and seconds not 0");
        }
        if self.rate.is_some_and(|r| !(0.1..=1e6).contains(&r)) {
            bail!("rate must be from 0.1 to 1000000");
        }
        Ok(())
    }

    /// How connections are made.
    pub(crate) fn way(&self) -> Way {
        Way {
            target: self.target,
            from: self.from,
        }
    }

    /// The time before counting starts.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    /// The time that is counted.
    pub(crate) fn counted(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// The body, empty where there is none.
    pub(crate) fn body(&self) -> anyhow::Result<Vec<u8>> {
        match &self.body {
            None => Ok(Vec::new()),
            Some(path) => {
                std::fs::read(path).with_context(|| format!("{} can't be read", path.display()))
            }
        }
    }
}

/// From where to where a connection goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    target: SocketAddr,
    from: Option<IpAddr>,
}

impl Way {
    /// A new connection.
    pub(crate) fn connect(self) -> std::io::Result<TcpStream> {
        use socket2::{Domain, Socket, Type};
        let Some(from) = self.from else {
            return TcpStream::connect(self.target);
        };
        let socket = Socket::new(Domain::for_address(self.target), Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.connect(&self.target.into())?;
        Ok(socket.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(more: &str) -> anyhow::Result<()> {
        let text = format!(r#"{{"path": "/", "connections": 1, "seconds": 1, {more}}}"#);
        serde_json::from_str::<Plan>(&text)?.check()
    }

    #[test]
    fn load_stays_on_this_machine_and_ends() {
        assert!(plan(r#""target": "127.0.0.1:80""#).is_ok());
        assert!(plan(r#""target": "[::1]:80""#).is_ok());
        assert!(plan(r#""target": "10.0.0.1:80""#).is_err());
        assert!(plan(r#""target": "127.0.0.1:80", "warm_up": 601"#).is_err());
        assert!(plan(r#""target": "127.0.0.1:80", "rate": 0"#).is_err());
        assert!(plan(r#""target": "127.0.0.1:80", "sconds": 2"#).is_err());
    }
}
