//! The golden cases that callers may read.

use crate::repository::GoldenCase;

/// They are kept up to this many bytes of JSON for a version.
const MOST: usize = 64 << 10;

/// The first of `cases` that together stay within [`MOST`], as a JSON array:
/// each as its file holds it, with its name.
pub(super) fn kept(cases: &[GoldenCase]) -> Box<str> {
    let mut kept = String::from("[");
    for case in cases {
        let name = serde_json::Value::from(&*case.name);
        let json = case.to_json();
        let comma = if kept.len() > 1 { "," } else { "" };
        let fields = json.trim_start_matches('{').trim();
        let own = format!("{comma}{{\"name\": {name},\n  {fields}");
        // The last byte is for the end of the array.
        if kept.len() + own.len() + 1 > MOST {
            break;
        }
        kept += &own;
    }
    kept.push(']');
    kept.into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn case(name: &str, numbers: usize) -> GoldenCase {
        let data = vec!["1"; numbers].join(",");
        let tensor =
            format!(r#"[{{"name":"x","shape":[{numbers}],"datatype":"INT64","data":[{data}]}}]"#);
        let json =
            format!(r#"{{"description":"{{ \"odd\" }}","inputs":{tensor},"outputs":{tensor}}}"#);
        GoldenCase::parse(Path::new(&format!("cases/{name}.json")), json.as_bytes()).unwrap()
    }

    fn names(cases: &[GoldenCase]) -> Vec<String> {
        let kept = kept(cases);
        assert!(kept.len() <= MOST, "{}", kept.len());
        let kept: Vec<serde_json::Value> = serde_json::from_str(&kept).unwrap();
        let names = kept.iter().map(|case| {
            assert_eq!(case["inputs"][0]["name"], "x");
            assert_eq!(case["description"], "{ \"odd\" }");
            case["name"].as_str().unwrap().to_owned()
        });
        names.collect()
    }

    #[test]
    fn the_first_that_fit_are_kept() {
        assert!(names(&[]).is_empty());
        assert_eq!(names(&[case("a \"b\"", 2), case("c", 3)]), ["a \"b\"", "c"]);
        // Two bytes a number, on either side: the third has no room.
        let many = ["a", "b", "c", "d"].map(|name| case(name, 7000));
        assert_eq!(names(&many), ["a", "b"]);
        assert!(names(&[case("large", 70_000), case("small", 1)]).is_empty());
    }
}
