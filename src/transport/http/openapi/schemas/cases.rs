//! The form of `GET /models/{model}/cases`.

use serde_json::{Value, json};

use super::{list, object};

pub(super) fn form() -> Value {
    let text = json!({"type": "string"});
    let tensors = list(json!({"type": "object"}));
    let case = object(
        &[
            ("name", text.clone()),
            ("inputs", tensors.clone()),
            ("outputs", tensors),
        ],
        &[
            ("description", text.clone()),
            ("sampled", json!({"const": true})),
        ],
    );
    object(
        &[
            ("model", text.clone()),
            ("version", text),
            ("cases", list(case)),
        ],
        &[],
    )
}
