//! `model.toml` written or edited so that what a person wrote in it stays.

use std::path::Path;

use anyhow::{Context as _, bail};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use crate::{
    repository::{ModelFile, Version},
    review::{check::NO_DESCRIPTION, rows::Features},
};

/// What the manifest has to say.
pub(super) struct Content<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a Version,
    pub(super) description: Option<&'a str>,
    pub(super) license: Option<&'a str>,
    pub(super) files: &'a [ModelFile],
    /// Names of columns that were learned, for a manifest that has none.
    pub(super) features: &'a Features,
}

/// A new manifest.
pub(super) fn new(content: &Content<'_>) -> String {
    let mut document = DocumentMut::new();
    document["name"] = value(content.name);
    document["version"] = value(content.version.to_string());
    let description = content.description.unwrap_or(NO_DESCRIPTION);
    document["description"] = value(description);
    if let Some(license) = content.license {
        document["license"] = value(license);
    }
    let files = content.files.iter().map(|file| {
        let mut table = Table::new();
        table["path"] = value(&file.path);
        table["sha256"] = value(file.sha256.to_string());
        table
    });
    document["files"] = Item::ArrayOfTables(files.collect());
    features(&mut document, content.features);
    document.to_string()
}

/// The manifest `text` with what `content` has to say; comments, order and
/// all else stay.
pub(super) fn edited(file: &Path, text: &str, content: &Content<'_>) -> anyhow::Result<String> {
    let broken = || format!("{} can't be edited", file.display());
    let mut document: DocumentMut = text.parse().with_context(broken)?;
    set(&mut document, "version", &content.version.to_string());
    if let Some(description) = content.description {
        set(&mut document, "description", description);
    }
    if let Some(license) = content.license {
        set(&mut document, "license", license);
    }
    match document.get_mut("files") {
        Some(Item::ArrayOfTables(tables)) => edit_tables(tables, content.files),
        Some(Item::Value(Value::Array(array))) => edit_array(array, content.files),
        _ => bail!(
            "{}: key \"files\" is neither [[files]] nor an array",
            file.display()
        ),
    }
    features(&mut document, content.features);
    Ok(document.to_string())
}

/// Sets a key and keeps the comment behind it.
fn set(document: &mut DocumentMut, key: &str, text: &str) {
    match document.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => replace(old, text),
        None => document[key] = value(text),
    }
}

fn replace(old: &mut Value, text: &str) {
    let decor = old.decor().clone();
    *old = Value::from(text);
    *old.decor_mut() = decor;
}

fn edit_tables(tables: &mut ArrayOfTables, files: &[ModelFile]) {
    let path = |table: &Table| table.get("path").and_then(Item::as_str).map(str::to_owned);
    tables.retain(|table| path(table).is_some_and(|own| files.iter().any(|f| f.path == own)));
    for file in files {
        let sha256 = file.sha256.to_string();
        let index = tables
            .iter()
            .position(|table| path(table).as_deref() == Some(&file.path));
        match index.and_then(|index| tables.get_mut(index)) {
            Some(table) => match table.get_mut("sha256").and_then(Item::as_value_mut) {
                Some(old) => replace(old, &sha256),
                None => table["sha256"] = value(sha256),
            },
            None => {
                let mut table = Table::new();
                table["path"] = value(&file.path);
                table["sha256"] = value(sha256);
                tables.push(table);
            }
        }
    }
}

fn edit_array(array: &mut Array, files: &[ModelFile]) {
    let path = |own: &Value| {
        let own = own.as_inline_table()?.get("path")?.as_str()?;
        Some(own.to_owned())
    };
    array.retain(|own| path(own).is_some_and(|own| files.iter().any(|f| f.path == own)));
    for file in files {
        let sha256 = file.sha256.to_string();
        let index = array
            .iter()
            .position(|own| path(own).as_deref() == Some(&file.path));
        let found = index.and_then(|index| array.get_mut(index));
        match found.and_then(Value::as_inline_table_mut) {
            Some(table) => match table.get_mut("sha256") {
                Some(old) => replace(old, &sha256),
                None => {
                    table.insert("sha256", sha256.into());
                }
            },
            None => {
                let mut table = InlineTable::new();
                table.insert("path", file.path.clone().into());
                table.insert("sha256", sha256.into());
                array.push(table);
            }
        }
    }
}

fn features(document: &mut DocumentMut, features: &Features) {
    if features.is_empty() || document.contains_key("features") {
        return;
    }
    let mut table = Table::new();
    for (input, names) in features {
        table[input] = value(names.iter().collect::<Array>());
    }
    document["features"] = Item::Table(table);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{Digest, Manifest};

    fn file(path: &str, bytes: &[u8]) -> ModelFile {
        ModelFile {
            path: path.to_owned(),
            sha256: Digest::of(bytes),
        }
    }

    fn content<'a>(
        version: &'a Version,
        files: &'a [ModelFile],
        features: &'a Features,
    ) -> Content<'a> {
        Content {
            name: "linear",
            version,
            description: None,
            license: None,
            files,
            features,
        }
    }

    #[test]
    fn a_new_manifest_parses() {
        let features = Features::from([("x".to_owned(), vec!["a \"b\"".to_owned()])]);
        let files = [file("model.onnx", b"1"), file("w.bin", b"2")];
        let text = new(&content(&Version::new(1, 0, 0), &files, &features));
        let own = Manifest::parse(Path::new("model.toml"), &text).unwrap();
        assert_eq!(
            (own.files.as_slice(), &own.features),
            (&files[..], &features)
        );
    }

    #[test]
    fn a_persons_comments_and_order_stay() {
        let before = format!(
            "# Mine.\nversion = \"v1.0.0\" # raise me\nname = \"linear\"\n\
             description = \"d\"\n\n# The graph.\n[[files]]\nsha256 = \"{0}\" # of the graph\npath = \"model.onnx\"\n\n\
             [[files]]\npath = \"old.bin\"\nsha256 = \"{0}\"\n\n[labels] # free\nteam = \"a\"\n",
            Digest::of(b"0")
        );
        let files = [file("model.onnx", b"1"), file("new.bin", b"2")];
        let none = Features::new();
        let text = edited(
            Path::new("model.toml"),
            &before,
            &content(&Version::new(1, 1, 0), &files, &none),
        )
        .unwrap();
        let expected = format!(
            "# Mine.\nversion = \"v1.1.0\" # raise me\nname = \"linear\"\n\
             description = \"d\"\n\n# The graph.\n[[files]]\nsha256 = \"{}\" # of the graph\npath = \"model.onnx\"\n\n\
             [[files]]\npath = \"new.bin\"\nsha256 = \"{}\"\n\n[labels] # free\nteam = \"a\"\n",
            Digest::of(b"1"),
            Digest::of(b"2")
        );
        assert_eq!(text, expected);
        let inline = format!(
            "name = \"linear\"\nversion = \"v1.0.0\"\ndescription = \"d\"\n\
             files = [{{ path = \"model.onnx\", sha256 = \"{}\" }}] # one\n",
            Digest::of(b"0")
        );
        let text = edited(
            Path::new("model.toml"),
            &inline,
            &content(&Version::new(1, 1, 0), &files, &none),
        )
        .unwrap();
        assert_eq!(
            Manifest::parse(Path::new("model.toml"), &text)
                .unwrap()
                .files,
            files
        );
        assert!(text.ends_with("] # one\n"), "{text}");
    }
}
