//! `modelship probe --expect`: whether every instance behind a name serves
//! exactly the models that a release file lists. The job after each rollout
//! asks it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::ToSocketAddrs as _,
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::probe::Target;

/// The models of a release, as `scripts/bump-image` writes them into git.
#[derive(Deserialize)]
struct Release {
    models: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    name: String,
    version: String,
    files: Vec<File>,
}

/// `GET /models`: each model by its newest version.
#[derive(Deserialize)]
struct Served {
    models: Vec<Card>,
}

#[derive(Deserialize)]
struct Card {
    name: String,
    version: String,
    files: Vec<File>,
    versions: BTreeSet<String>,
}

#[derive(Clone, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    path: String,
    sha256: String,
}

/// Asks each address of the target for its model cards, and fails with a
/// sentence for each difference.
pub(super) fn run(target: &Target, file: &Path) -> anyhow::Result<ExitCode> {
    let release =
        fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let release: Release = serde_json::from_str(&release)
        .with_context(|| format!("{} is not a release's list of models", file.display()))?;
    let addresses: BTreeSet<_> = target.host.to_socket_addrs()?.collect();
    if addresses.is_empty() {
        bail!("the name {} has no address: no pod is ready", target.host);
    }
    let mut wrong = Vec::new();
    for address in addresses {
        let (status, body) = target
            .get_from(address, "/models")
            .with_context(|| format!("{address} gave no answer"))?;
        if status != 200 {
            bail!("{address} answered {status} for /models: {body}");
        }
        let served: Served = serde_json::from_str(&body)
            .with_context(|| format!("{address} gave no list of models"))?;
        wrong.extend(
            differences(&release, &served)
                .into_iter()
                .map(|difference| format!("{address} {difference}")),
        );
    }
    if wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{}", wrong.join("; "));
}

/// What is served and is not in the release, and the other way round.
fn differences(release: &Release, served: &Served) -> Vec<String> {
    let mut expected: BTreeMap<&str, BTreeMap<&str, &[File]>> = BTreeMap::new();
    for model in &release.models {
        expected
            .entry(&model.name)
            .or_default()
            .insert(&model.version, &model.files);
    }
    let mut wrong = Vec::new();
    for card in &served.models {
        let Some(versions) = expected.remove(card.name.as_str()) else {
            wrong.push(format!("serves {}, which git does not hold", card.name));
            continue;
        };
        let want: BTreeSet<&str> = versions.keys().copied().collect();
        let have: BTreeSet<&str> = card.versions.iter().map(String::as_str).collect();
        if want != have {
            let list = |set: &BTreeSet<&str>| set.iter().copied().collect::<Vec<_>>().join(", ");
            wrong.push(format!(
                "serves {} {}, and git holds {}",
                card.name,
                list(&have),
                list(&want)
            ));
        }
        if let Some(files) = versions.get(card.version.as_str()) {
            let sorted = |files: &[File]| {
                let mut files = files.to_vec();
                files.sort();
                files
            };
            if sorted(files) != sorted(&card.files) {
                wrong.push(format!(
                    "serves {} {} with other bytes than git holds: the sha256 differ",
                    card.name, card.version
                ));
            }
        }
    }
    for name in expected.keys() {
        wrong.push(format!("does not serve {name}, which git holds"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        serde_json::from_str(
            r#"{"commit":"c","models":[
                {"name":"iris","version":"v1.0.0","files":[{"path":"m","sha256":"aa"}]},
                {"name":"linear","version":"v1.1.0","files":[{"path":"m","sha256":"bb"}]},
                {"name":"linear","version":"v1.2.0","files":[{"path":"m","sha256":"cc"}]}]}"#,
        )
        .expect("it is JSON")
    }

    fn served(iris: &str, linear: &str) -> Served {
        serde_json::from_str(&format!(r#"{{"models":[{iris}{linear}]}}"#)).expect("it is JSON")
    }

    const IRIS: &str = r#"{"name":"iris","version":"v1.0.0","versions":["v1.0.0"],
        "files":[{"path":"m","sha256":"aa"}],"load_milliseconds":1}"#;
    const LINEAR: &str = r#",{"name":"linear","version":"v1.2.0","versions":["v1.2.0","v1.1.0"],
        "files":[{"path":"m","sha256":"cc"}]}"#;

    #[test]
    fn what_git_holds_is_right() {
        assert!(differences(&release(), &served(IRIS, LINEAR)).is_empty());
    }

    #[test]
    fn each_difference_is_named() {
        let cases = [
            (served(IRIS, ""), "does not serve linear"),
            (
                served(&IRIS.replace("\"aa\"", "\"ff\""), LINEAR),
                "iris v1.0.0 with other bytes",
            ),
            (
                served(IRIS, &LINEAR.replace(",\"v1.1.0\"", "")),
                "linear v1.2.0, and git holds v1.1.0, v1.2.0",
            ),
            (
                served(IRIS, &format!("{LINEAR},{}", IRIS.replace("iris", "extra"))),
                "serves extra, which git does not hold",
            ),
        ];
        for (served, sentence) in cases {
            let wrong = differences(&release(), &served);
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert!(wrong[0].contains(sentence), "{wrong:?}");
        }
    }
}
