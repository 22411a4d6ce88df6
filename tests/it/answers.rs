//! What the rows of a CSV file and lines of JSON say that a model must answer.

use crate::checkout::{Checkout, fixture};

/// Adds a fixture with golden cases of these lines.
struct Adding(Checkout);

impl Adding {
    fn new() -> Self {
        Self(Checkout::new())
    }

    fn arguments(&self, file: &str, cases: &str, lines: &str) -> Vec<String> {
        let cases = self.0.put(&format!("../{cases}"), lines);
        let own = ["add", &fixture(file), "--name", "own", "--version"];
        let cases = ["v1.0.0", "--cases", cases.to_str().unwrap()];
        own.iter().chain(&cases).map(|s| (*s).to_owned()).collect()
    }

    /// What is told of it.
    #[track_caller]
    fn good(&self, file: &str, cases: &str, lines: &str) -> String {
        let arguments = self.arguments(file, cases, lines);
        self.0
            .good(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// It is refused with a line that holds `parts`, and nothing is written.
    #[track_caller]
    fn refused(&self, file: &str, cases: &str, lines: &str, parts: &[&str]) {
        let arguments = self.arguments(file, cases, lines);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.0.refused(&arguments, parts);
        assert!(!self.0.path().join("models").exists());
    }

    fn case(&self, name: &str) -> String {
        self.0.text(&format!("models/own/cases/{name}.json"))
    }
}

#[test]
fn a_column_with_the_name_of_an_output_is_what_the_model_must_answer() {
    let own = Adding::new();
    let remedy = "take the column out, or give it another name";
    own.refused(
        "line.onnx",
        "known.csv",
        "x,y\n21,48\n1,9\n",
        &[
            "known.csv: row 2: the column \"y\" says 9, and the model answers 8",
            remedy,
        ],
    );
    own.refused(
        "line.onnx",
        "known.csv",
        "x,y\n21,much\n",
        &["row 1: the column \"y\" says much, and the model answers 48"],
    );
    // What nobody knows is left open, and what is close enough holds.
    let told = own.good("line.onnx", "known.csv", "x,y\n21,48.00001\n1,\n");
    assert!(
        told.contains("2 golden cases") && told.contains("y is what the model must answer"),
        "{told}"
    );
    assert!(own.case("case-1").contains("\"data\": [48]"));
    assert!(own.case("case-2").contains("\"data\": [8]"));
}

#[test]
fn text_is_an_answer_and_what_no_cell_holds_is_none() {
    let own = Adding::new();
    own.refused(
        "zipmap.onnx",
        "known.csv",
        "color,size,output_label\nred,3,keep\n",
        &["the column \"output_label\" says keep, and the model answers \"drop\""],
    );
    own.refused(
        "zipmap.onnx",
        "known.csv",
        "color,size,output_probability\nred,3,0.9\n",
        &[
            "output_probability",
            "2 elements a row, which no cell holds",
        ],
    );
    own.good(
        "zipmap.onnx",
        "known.csv",
        "output_label,size,color\ndrop,3,red\n",
    );
}

#[test]
fn it_is_told_what_became_of_each_column() {
    // Just as many columns as the input takes, and one bears the output's
    // name.
    let told = Adding::new().good("line-wider.onnx", "known.csv", "km,y\n1,2\n");
    assert!(
        told.contains(
            "km, y became the input \"x\", by position (also y, which an output is called)"
        ),
        "{told}"
    );
    assert!(!told.contains("must answer"), "{told}");
    let told = Adding::new().good(
        "line-wider.onnx",
        "known.csv",
        "km,y,stops,day\n1,10,2,Monday\n",
    );
    assert!(
        told.contains(
            "of the columns, km, stops became the input \"x\", by position; y is what the model \
             must answer; day is not used"
        ),
        "{told}"
    );
    // What is called as it should be needs no words.
    let told = Adding::new().good("line.onnx", "known.csv", "x\n1\n");
    assert!(!told.contains("of the columns"), "{told}");
}

#[test]
fn a_key_that_stands_twice_is_no_case() {
    let own = Adding::new();
    for lines in [
        "{\"x\": 1, \"x\": 2}\n",
        "21\n{\"x\": 1, \"x\": 2}\n",
        "[{\"x\": 1,\n \"x\": 2}]\n",
    ] {
        let parts = ["the key \"x\" stands there twice"];
        own.refused("line.onnx", "known.jsonl", lines, &parts);
    }
}
