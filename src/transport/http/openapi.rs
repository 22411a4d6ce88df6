//! The description of the HTTP surface, made as the routes are: a route can't
//! be added without what stands about it here.

mod models;
mod schemas;

use axum::{Router, routing::MethodRouter};
use serde_json::{Map, Value, json};

use super::Http;
pub(super) use schemas::Schema;

/// Routes, and what is said of them.
pub(super) struct Api {
    router: Router<Http>,
    paths: Map<String, Value>,
}

impl Api {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            router: Router::new(),
            paths: Map::new(),
        }
    }

    /// Adds the route `path`, and each operation that it takes.
    pub(super) fn route(
        mut self,
        path: &str,
        methods: MethodRouter<Http>,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Self {
        self.router = self.router.route(path, methods);
        let item: Map<String, Value> = operations
            .into_iter()
            .map(|o| (o.method.to_owned(), o.describe(path)))
            .collect();
        self.paths.insert(path.to_owned(), Value::Object(item));
        self
    }

    /// Adds the route `path`, which says no more than that it is not offered,
    /// and so is not described.
    pub(super) fn not_offered(mut self, path: &str, methods: MethodRouter<Http>) -> Self {
        self.router = self.router.route(path, methods);
        self
    }

    /// Adds the routes of `other`.
    pub(super) fn merge(mut self, other: Api) -> Self {
        self.router = self.router.merge(other.router);
        self.paths.extend(other.paths);
        self
    }

    /// The routes, without the description.
    pub(super) fn into_router(self) -> Router<Http> {
        self.router
    }
}

/// What one method of one route does.
pub(super) struct Operation {
    method: &'static str,
    summary: &'static str,
    description: &'static str,
    tag: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
}

/// What a failure answers.
const FAILURES: [(u16, &str); 13] = [
    (
        400,
        "The request can't be understood, or does not fit the model",
    ),
    (
        401,
        "Keys are asked for, and there is none, or one that is not known",
    ),
    (403, "The key may not do this"),
    (404, "There is no such path, model or version"),
    (405, "The path stands, but not for this method"),
    (408, "The request's head came too slowly"),
    (413, "The body is over the limit"),
    (
        429,
        "The queue is full: try again after the header Retry-After",
    ),
    (499, "The caller went away"),
    (500, "A fault of the server, whose log says more"),
    (501, "Understood, and not offered here"),
    (503, "Not ready, or draining"),
    (504, "The deadline passed first"),
];

impl Operation {
    fn new(method: &'static str, tag: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            summary,
            description: "",
            tag,
            parameters: Vec::new(),
            body: None,
            answers: Map::new(),
        }
    }

    /// A GET.
    pub(super) fn get(tag: &'static str, summary: &'static str) -> Self {
        Self::new("get", tag, summary)
    }

    /// A POST.
    pub(super) fn post(tag: &'static str, summary: &'static str) -> Self {
        Self::new("post", tag, summary)
    }

    /// What a part of the path is.
    pub(super) fn path(mut self, name: &str, description: &str, schema: Value) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "path", "required": true,
            "description": description, "schema": schema,
        }));
        self
    }

    /// What is to be said at length.
    pub(super) fn description(mut self, text: &'static str) -> Self {
        self.description = text;
        self
    }

    /// A parameter of the query that may come.
    pub(super) fn query(mut self, name: &str, description: &str, schema: Value) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "query", "required": false,
            "description": description, "schema": schema,
        }));
        self
    }

    /// A header that may come.
    pub(super) fn header(mut self, name: &str, description: &str, schema: Value) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": false,
            "description": description, "schema": schema,
        }));
        self
    }

    /// The body that it takes; it need not come where `required` is false.
    pub(super) fn body(mut self, required: bool, kinds: &[(&str, Value)]) -> Self {
        self.body = Some(json!({"required": required, "content": content(kinds)}));
        self
    }

    /// An answer with a status of its own.
    pub(super) fn answer(
        mut self,
        status: u16,
        description: &str,
        kinds: &[(&str, Value)],
    ) -> Self {
        self.answers.insert(
            status.to_string(),
            json!({"description": description, "content": content(kinds)}),
        );
        self
    }

    /// Success, in JSON.
    pub(super) fn ok(self, description: &str, schema: Schema) -> Self {
        self.answer(
            200,
            description,
            &[("application/json", schema.reference())],
        )
    }

    fn describe(mut self, path: &str) -> Value {
        for (status, description) in FAILURES {
            self.answers.entry(status.to_string()).or_insert_with(|| {
                let kinds = [("application/json", Schema::Refusal.reference())];
                json!({"description": description, "content": content(&kinds)})
            });
        }
        let mut operation = json!({
            "operationId": format!("{} {path}", self.method),
            "summary": self.summary,
            "tags": [self.tag],
            "parameters": self.parameters,
            "responses": self.answers,
        });
        if !self.description.is_empty() {
            operation["description"] = self.description.into();
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        operation
    }
}

fn content(kinds: &[(&str, Value)]) -> Value {
    kinds
        .iter()
        .map(|(kind, schema)| ((*kind).to_owned(), json!({"schema": schema})))
        .collect::<Map<String, Value>>()
        .into()
}

/// The whole document. Where a path says a model, and what it takes depends on
/// that, there is one for each model that is served, with what that one takes.
pub(super) fn document(http: &Http) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "modelship",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "An ONNX inference service whose model registry is a git repository. \
                gRPC answers on the same port: inference.GRPCInferenceService, grpc.health.v1 \
                and server reflection.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": served(http, super::api().paths),
        "components": {"schemas": schemas::all()},
    })
}

/// `paths` for what is served now.
fn served(http: &Http, mut paths: Map<String, Value>) -> Map<String, Value> {
    let snapshot = http.catalog.snapshot();
    if http.control.is_none() {
        paths.retain(|path, _| !path.starts_with("/v2/repository/models/"));
    }
    let infer = take(&mut paths, "/v2/models/{model}/infer", "post");
    let infer_version = take(
        &mut paths,
        "/v2/models/{model}/versions/{version}/infer",
        "post",
    );
    let rows = take(&mut paths, "/predict/{first}", "post");
    let number = take(&mut paths, "/predict/{model}/{n}", "get");
    for (name, versions) in snapshot.models() {
        let Some((_, newest)) = versions.last_key_value() else {
            continue;
        };
        let body = models::infer_request_of(newest.signature());
        put(
            &mut paths,
            format!("/v2/models/{name}/infer"),
            "post",
            &infer,
            1,
            body,
        );
        for (version, servable) in versions {
            let path = format!("/v2/models/{name}/versions/{version}/infer");
            let body = models::infer_request_of(servable.signature());
            put(&mut paths, path, "post", &infer_version, 2, body);
        }
        if let Some(body) = models::rows_of(newest) {
            let path = format!("/predict/{name}");
            put(&mut paths, path.clone(), "post", &rows, 1, Some(body));
            let nothing = Operation::get("predict", "Not found: a number is missing");
            paths[&path]["get"] = nothing.describe(&path);
        }
        if models::takes_a_number(newest) {
            put(
                &mut paths,
                format!("/predict/{name}/{{n}}"),
                "get",
                &number,
                1,
                None,
            );
        }
    }
    if let Some(item) = paths.get_mut("/predict/{first}") {
        let mut others = rows.clone();
        let names: Vec<&str> = snapshot.models().keys().map(|n| &**n).collect();
        others["summary"] = "Not found: a model that is not served".into();
        others["parameters"][0]["schema"]["not"] = json!({"enum": names});
        item["post"] = others;
    }
    // The default model's own, or, where there is none, whatever comes is not
    // found.
    if let Ok(default) = http.catalog.lease_default() {
        match models::rows_of(&default) {
            Some(body) => {
                let rows = take(&mut paths, "/predict", "post");
                put(
                    &mut paths,
                    "/predict".to_owned(),
                    "post",
                    &rows,
                    0,
                    Some(body),
                );
            }
            None => drop(paths.remove("/predict")),
        }
        if !models::takes_a_number(&default) {
            take(&mut paths, "/predict/{first}", "get");
        }
    }
    paths
}

/// Takes one operation out of `paths`.
fn take(paths: &mut Map<String, Value>, path: &str, method: &str) -> Value {
    let Some(Value::Object(item)) = paths.get_mut(path) else {
        return Value::Null;
    };
    let operation = item.remove(method).unwrap_or_default();
    if item.is_empty() {
        paths.remove(path);
    }
    operation
}

/// Puts `operation` at `path`, of which the first `fixed` parameters are part,
/// with `body` as what it takes.
fn put(
    paths: &mut Map<String, Value>,
    path: String,
    method: &str,
    operation: &Value,
    fixed: usize,
    body: Option<Value>,
) {
    let mut operation = operation.clone();
    operation["operationId"] = format!("{method} {path}").into();
    if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
        let mut left = fixed;
        parameters.retain(|p| {
            let is_fixed = left > 0 && p["in"] == "path";
            left -= usize::from(is_fixed);
            !is_fixed
        });
    }
    if let Some(body) = body {
        operation["requestBody"]["content"]["application/json"]["schema"] = body;
    }
    let item = paths.entry(path).or_insert_with(|| json!({}));
    item[method] = operation;
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_part_of_a_path_is_described() {
        for (path, item) in super::super::api().paths {
            for (method, operation) in item.as_object().unwrap() {
                let named: Vec<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
                let described: Vec<&str> = operation["parameters"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|p| p["in"] == "path")
                    .map(|p| p["name"].as_str().unwrap())
                    .collect();
                assert_eq!(named, described, "{method} {path}");
                assert!(
                    operation["responses"]["200"].is_object()
                        || operation["responses"]["404"].is_object()
                );
            }
        }
    }
}
