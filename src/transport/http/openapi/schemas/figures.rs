//! The form of `GET /figures`.

use serde_json::{Value, json};

use super::{list, object};

pub(super) fn form() -> Value {
    let text = json!({"type": "string"});
    let count = json!({"type": "integer", "minimum": 0});
    let counts = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    let buckets = list(json!({
        "type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2,
    }));
    let step = ("step", count.clone());
    let numbers = ["requests", "latency_us", "rows", "in_flight", "waiting"];
    let histograms = ["latency", "queue", "compute", "batches"];
    let mut optional: Vec<_> = numbers.map(|name| (name, count.clone())).into();
    optional.extend(histograms.map(|name| (name, buckets.clone())));
    optional.push(("failures", counts.clone()));
    let point = object(std::slice::from_ref(&step), &optional);
    let total = [("requests", count.clone()), ("failed", count.clone())];
    let model = object(
        &[
            ("name", text.clone()),
            ("version", text.clone()),
            ("served", json!({"type": "boolean"})),
            ("total", object(&total, &[])),
            ("points", list(point)),
        ],
        &[],
    );
    let optional = [("connections", count.clone()), ("rejected", counts)];
    let service = [
        ("connections", count.clone()),
        ("points", list(object(&[step], &optional))),
    ];
    object(
        &[
            ("start", text),
            ("began_ms", count.clone()),
            ("now_ms", count.clone()),
            ("step_ms", count.clone()),
            ("from", count.clone()),
            ("next", count.clone()),
            ("ready", json!({"type": "boolean"})),
            ("latency_bounds_us", list(count.clone())),
            ("batch_bounds", list(count)),
            ("process", json!({"type": "object"})),
            ("service", object(&service, &[])),
            ("models", list(model)),
        ],
        &[],
    )
}
