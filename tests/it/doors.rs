//! Who may come in: TLS, keys, browsers, the port of management. The real
//! binary, asked over real connections.

mod caller;
mod certificates;
mod keys;
mod limits;
mod pages;
mod tls;

use std::path::Path;

use self::caller::{Answer, Caller};
use crate::process::{Serving, models, modelship};

/// A service of the shipped models with these flags as well.
fn serve(flags: &[&str]) -> Serving {
    let models = models();
    let mut all = vec!["serve", "--models", models.to_str().unwrap()];
    all.extend(["--listen", "127.0.0.1:0", "--log-format", "json"]);
    all.extend(["--default-model", "linear"]);
    all.extend(flags);
    Serving::start(modelship(&all))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The sentence of a refusal.
fn sentence(answer: &Answer) -> String {
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    json["error"].as_str().unwrap().to_owned()
}
