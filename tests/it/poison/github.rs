//! What GitHub's runner makes of a line that a step writes, after its source:
//! <https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs>

use std::collections::BTreeMap;

use serde_json::Value;

/// A command to the runner.
#[derive(Debug)]
pub struct Command {
    name: String,
    properties: BTreeMap<String, String>,
    message: String,
}

/// Every command in `log`. Names are not looked up: one that the runner does
/// not know today, it may know tomorrow.
pub fn commands(log: &str) -> Vec<Command> {
    // The runner takes each of these for the end of a line.
    let lines = log.split(['\n', '\r']);
    lines
        .filter_map(|line| newer(line).or_else(|| older(line)))
        .collect()
}

/// `::error file=a::message`, at the start of a line.
fn newer(line: &str) -> Option<Command> {
    let (head, message) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let properties = properties.trim().split(',').filter_map(|own| {
        let (key, value) = own.split_once('=')?;
        let value = unescaped(value, &["%0D", "%0A", "%3A", "%2C", "%25"]);
        Some((key.to_owned(), value))
    });
    Some(Command {
        name: name.to_owned(),
        properties: properties.collect(),
        message: unescaped(message, &["%0D", "%0A", "%25"]),
    })
}

/// `##[error]message`, anywhere in a line.
fn older(line: &str) -> Option<Command> {
    let (name, message) = line[line.find("##[")? + 3..].split_once(']')?;
    Some(Command {
        name: format!("##[{name}]"),
        properties: BTreeMap::new(),
        message: message.to_owned(),
    })
}

fn unescaped(text: &str, escapes: &[&str]) -> String {
    escapes.iter().fold(text.to_owned(), |text, escape| {
        let byte = u8::from_str_radix(&escape[1..], 16).unwrap();
        text.replace(escape, &char::from(byte).to_string())
    })
}

/// The command annotates the file of `finding` with its text, and nothing
/// else.
#[track_caller]
pub fn is_finding(command: &Command, finding: &Value, log: &str) {
    let text = |key: &str| modelship::repository::plain(finding[key].as_str().unwrap());
    assert_eq!(command.name, text("severity"), "{log}");
    let line = finding["line"]
        .as_u64()
        .map(|line| ("line", line.to_string()));
    let expected = [("file", text("file")), ("title", text("rule"))]
        .into_iter()
        .chain(line);
    let expected = expected
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    assert_eq!(command.properties, expected, "{log}");
    let reason = text("reason");
    assert!(command.message.contains(&reason), "{command:?}: {reason}");
    assert!(!command.message.contains(['\n', '\r']), "{command:?}");
}
