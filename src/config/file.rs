//! The file of settings: TOML, with the names of the settings as its keys.

use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::{Config, Problem, SETTINGS, Source, settings, suggestion};

/// Applies the file at `path` to `config`.
pub(super) fn apply(config: &mut Config, path: PathBuf, problems: &mut Vec<Problem>) {
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem {
                message: format!("the file of settings can't be read: {error}"),
                from: Source::File(path, None),
            });
            return;
        }
    };
    let mut problem = |offset: Option<usize>, message: String| {
        let line = offset.map(|offset| text[..offset].matches('\n').count() + 1);
        problems.push(Problem {
            from: Source::File(path.clone(), line),
            message,
        });
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    let syntax = !errors.is_empty();
    for error in errors {
        problem(
            error.span().map(|span| span.start),
            error.message().to_owned(),
        );
    }
    if syntax {
        // What a broken line leaves behind would be reported as more mistakes
        // than there are.
        return;
    }
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let offset = Some(key.span().start);
        let name: &str = key.get_ref();
        let setting = settings::find(name).filter(|setting| setting.name != "config");
        let Some(setting) = setting else {
            let names = SETTINGS.iter().map(|s| s.name).filter(|n| *n != "config");
            let hint = suggestion::nearest(name, names)
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            problem(offset, format!("there is no setting \"{name}\"{hint}"));
            continue;
        };
        let applied = match value.get_ref() {
            DeValue::String(text) => (setting.apply)(config, text.trim()),
            DeValue::Boolean(value) => (setting.apply)(config, &value.to_string()),
            DeValue::Integer(value) if value.radix() == 10 => {
                (setting.apply)(config, value.as_str())
            }
            _ => Err(
                "the value must be a text in quotes, a decimal number, true or false".to_owned(),
            ),
        };
        if let Err(message) = applied {
            problem(offset, format!("{name}: {message}"));
        }
    }
}
