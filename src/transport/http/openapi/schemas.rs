//! The forms of what is asked and answered.

mod cases;
mod figures;

use serde_json::{Map, Value, json};

use crate::tensor::DType;

/// A form that stands among the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Schema {
    /// A failed request.
    Refusal,
    /// What the service is.
    Index,
    /// The answer of `/livez` and `/readyz`.
    Stage,
    /// The answer of `/healthz`.
    Health,
    /// The last minutes.
    Figures,
    /// One model card.
    Card,
    /// All of them.
    Cards,
    /// Golden cases.
    Cases,
    /// One prediction.
    Prediction,
    /// Rows of a model's features.
    Rows,
    /// A prediction for each row.
    Predictions,
    /// The server's metadata.
    Server,
    /// Whether the server is alive.
    ServerLive,
    /// Whether the server is ready.
    ServerReady,
    /// A model's metadata.
    Metadata,
    /// Whether a model is ready.
    ModelReady,
    /// A model's configuration.
    Configuration,
    /// Statistics.
    Statistics,
    /// What the index is asked for.
    IndexRequest,
    /// The repository's index.
    RepositoryIndex,
    /// An inference request.
    InferRequest,
    /// The answer to one.
    InferResponse,
    /// Settings of logging or tracing.
    Settings,
    /// Nothing to say.
    Nothing,
}

impl Schema {
    const ALL: [Schema; 24] = [
        Schema::Refusal,
        Schema::Index,
        Schema::Stage,
        Schema::Health,
        Schema::Figures,
        Schema::Card,
        Schema::Cards,
        Schema::Cases,
        Schema::Prediction,
        Schema::Rows,
        Schema::Predictions,
        Schema::Server,
        Schema::ServerLive,
        Schema::ServerReady,
        Schema::Metadata,
        Schema::ModelReady,
        Schema::Configuration,
        Schema::Statistics,
        Schema::IndexRequest,
        Schema::RepositoryIndex,
        Schema::InferRequest,
        Schema::InferResponse,
        Schema::Settings,
        Schema::Nothing,
    ];

    /// A reference to it.
    pub(in super::super) fn reference(self) -> Value {
        json!({"$ref": format!("#/components/schemas/{self:?}")})
    }

    fn describe(self) -> Value {
        let text = json!({"type": "string"});
        let count = json!({"type": "integer", "minimum": 0});
        match self {
            Schema::Refusal => object(&[("error", sentence())], &[]),
            Schema::Index => object(
                &[
                    ("name", text.clone()),
                    ("version", text),
                    ("links", json!({"type": "object"})),
                ],
                &[],
            ),
            Schema::Stage => object(&[("status", text.clone())], &[("reason", text)]),
            Schema::Health => object(
                &[
                    ("status", text.clone()),
                    ("reason", text),
                    ("versions", list(state(json!({"type": ["string", "null"]})))),
                ],
                &[],
            ),
            Schema::Figures => figures::form(),
            Schema::Cases => cases::form(),
            Schema::Card => card(),
            Schema::Cards => object(&[("models", list(Schema::Card.reference()))], &[]),
            Schema::Prediction => object(
                &[
                    ("input", json!({"type": "number"})),
                    ("prediction", json!({})),
                    ("model_version", text),
                ],
                &[("outputs", json!({"type": "object"}))],
            ),
            Schema::Rows => rows(json!({"oneOf": [
                {"type": "array", "items": {"type": ["number", "string", "boolean"]}},
                {
                    "type": "object",
                    "additionalProperties": {"type": ["number", "string", "boolean"]},
                },
            ]})),
            Schema::Predictions => object(
                &[
                    ("predictions", list(json!({}))),
                    ("model_name", text.clone()),
                    ("model_version", text),
                ],
                &[("outputs", json!({"type": "object"}))],
            ),
            Schema::Server => object(
                &[
                    ("name", text.clone()),
                    ("version", text.clone()),
                    ("extensions", list(text)),
                ],
                &[],
            ),
            Schema::ServerLive => object(&[("live", json!({"const": true}))], &[]),
            Schema::ServerReady => object(
                &[("ready", json!({"type": "boolean"})), ("reason", text)],
                &[],
            ),
            Schema::Metadata => object(
                &[
                    ("name", text.clone()),
                    ("versions", list(text.clone())),
                    ("platform", text),
                    ("inputs", list(declared())),
                    ("outputs", list(declared())),
                ],
                &[],
            ),
            Schema::ModelReady => object(
                &[
                    ("name", text.clone()),
                    ("version", text),
                    ("ready", json!({"const": true})),
                ],
                &[],
            ),
            Schema::Configuration => object(
                &[
                    ("name", text.clone()),
                    ("platform", text.clone()),
                    ("backend", text),
                    ("max_batch_size", count),
                    ("input", list(json!({"type": "object"}))),
                    ("output", list(json!({"type": "object"}))),
                ],
                &[("dynamic_batching", json!({"type": "object"}))],
            ),
            Schema::Statistics => object(
                &[(
                    "model_stats",
                    list(object(
                        &[
                            ("name", text.clone()),
                            ("version", text),
                            ("last_inference", count.clone()),
                            ("inference_count", count.clone()),
                            ("execution_count", count),
                            ("inference_stats", json!({"type": "object"})),
                            ("batch_stats", list(json!({"type": "object"}))),
                        ],
                        &[],
                    )),
                )],
                &[],
            ),
            Schema::IndexRequest => object(&[], &[("ready", json!({"type": "boolean"}))]),
            Schema::RepositoryIndex => list(state(text)),
            Schema::InferRequest => infer_request(),
            Schema::InferResponse => infer_response(),
            Schema::Settings => json!({"type": "object", "minProperties": 1}),
            Schema::Nothing => json!({"type": "object", "maxProperties": 0}),
        }
    }
}

/// Every form, by its name.
pub(super) fn all() -> Map<String, Value> {
    Schema::ALL
        .into_iter()
        .map(|schema| (format!("{schema:?}"), schema.describe()))
        .collect()
}

/// An object of these required and optional properties, and any others.
fn object(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> = required
        .iter()
        .chain(optional)
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({"type": "object", "properties": properties, "required": names})
}

fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn sentence() -> Value {
    json!({"type": "string", "minLength": 1, "description": "What to change"})
}

fn state(reason: Value) -> Value {
    let states = ["LOADING", "READY", "UNLOADING", "UNAVAILABLE"];
    object(
        &[
            ("name", json!({"type": "string"})),
            ("version", json!({"type": "string"})),
            ("state", json!({"enum": states})),
            ("reason", reason),
        ],
        &[],
    )
}

fn datatype() -> Value {
    let names: Vec<&str> = DType::ALL.iter().map(|d| d.name()).collect();
    json!({"type": "string", "enum": names})
}

/// A tensor as a model declares it.
fn declared() -> Value {
    object(
        &[
            ("name", json!({"type": "string"})),
            ("datatype", datatype()),
            (
                "shape",
                json!({
                    "type": "array",
                    "items": {"type": "integer", "minimum": -1},
                    "description": "-1 varies",
                }),
            ),
        ],
        &[
            ("optional", json!({"type": "boolean"})),
            ("features", list(json!({"type": "string"}))),
            (
                "ranges",
                json!({
                    "type": "array",
                    "items": {
                        "type": ["array", "null"],
                        "items": {"type": "number"},
                        "minItems": 2,
                        "maxItems": 2,
                    },
                    "description": "The least and the greatest value that it was trained on: one pair \
                        for each of features, or one for the whole input",
                }),
            ),
        ],
    )
}

fn card() -> Value {
    let text = json!({"type": "string"});
    object(
        &[
            ("name", text.clone()),
            ("version", text.clone()),
            ("description", text.clone()),
            (
                "sha256",
                json!({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
            ),
            ("inputs", list(declared())),
            ("outputs", list(declared())),
            ("golden_cases", json!({"type": "object"})),
            ("load_milliseconds", json!({"type": "number"})),
            ("engine", text.clone()),
            ("scheduling", json!({"type": "object"})),
        ],
        &[("versions", list(text))],
    )
}

/// Rows, alone or as a field.
pub(super) fn rows(row: Value) -> Value {
    let rows = json!({"type": "array", "minItems": 1, "items": row});
    let wrapped = json!({
        "type": "object",
        "properties": {"rows": rows},
        "required": ["rows"],
        "additionalProperties": false,
    });
    json!({"oneOf": [rows, wrapped]})
}

fn parameters() -> Value {
    json!({
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    })
}

/// Elements flat or nested.
fn data() -> Value {
    json!({"type": "array", "description": "Flat, or nested as the shape says; row-major"})
}

fn shape() -> Value {
    list(json!({"type": "integer", "minimum": 0}))
}

fn infer_request() -> Value {
    let text = json!({"type": "string"});
    let input = object(
        &[
            ("name", text.clone()),
            ("shape", shape()),
            ("datatype", datatype()),
        ],
        &[("parameters", parameters()), ("data", data())],
    );
    let output = object(&[("name", text.clone())], &[("parameters", parameters())]);
    object(
        &[("inputs", list(input))],
        &[
            ("id", text),
            ("parameters", parameters()),
            ("outputs", list(output)),
        ],
    )
}

fn infer_response() -> Value {
    let text = json!({"type": "string"});
    let output = object(
        &[
            ("name", text.clone()),
            ("shape", shape()),
            ("datatype", datatype()),
        ],
        &[("parameters", parameters()), ("data", data())],
    );
    object(
        &[
            ("model_name", text.clone()),
            ("model_version", text.clone()),
            ("outputs", list(output)),
        ],
        &[("id", text), ("parameters", parameters())],
    )
}
