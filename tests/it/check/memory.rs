//! The memory that a load takes, as `modelship check` tells it.

use serde_json::Value;

use crate::checkout::{Checkout, fixture};

// Nothing else is in a process that checks, so what it tells is steady.
#[test]
fn the_memory_of_one_model_is_not_told_of_those_that_were_loaded_beside_it() {
    let checkout = Checkout::new();
    let (grows, line) = (fixture("grows.onnx"), fixture("line.onnx"));
    let add = |file: &str, name: &str| {
        checkout.good(&["add", file, "--name", name, "--version", "v1.0.0"]);
    };
    // In this order, so that small ones are loaded while a large one is.
    for group in ["a", "b", "c"] {
        add(&grows, &format!("{group}-grows"));
        for n in 0..4 {
            add(&line, &format!("{group}-line-{n}"));
        }
    }
    let report: Value =
        serde_json::from_str(&checkout.good(&["check", "--format", "json"])).unwrap();
    let models = report["models"].as_array().unwrap();
    assert_eq!(models.len(), 15);
    for model in models {
        let name = model["name"].as_str().unwrap();
        let memory = model["load_memory"].as_u64().unwrap();
        // Its table alone has 32 MiB.
        let right = if name.ends_with("grows") {
            30_000_000..40_000_000
        } else {
            0..8_000_000
        };
        assert!(right.contains(&memory), "{name}: {memory}");
    }
}
