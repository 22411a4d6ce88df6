//! A model whose answers are no numbers.

use super::until;
use crate::{repository::Repository, service::Service};

#[test]
fn a_model_that_answers_nan_is_refused_by_its_golden_cases() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.2", 2.0, "");
    repository.put_case("double", 1.0, 2.0);
    let flags = [("watch", "poll"), ("watch-interval", "5ms")];
    let service = Service::start(repository.path(), &flags);
    repository.put("double", "v1.0.3", f32::NAN, "");
    until("it is refused", || {
        let body = service.get("/healthz").body;
        body.contains("golden case") && body.contains("NaN")
    });
    assert_eq!(service.get("/predict/21").json()["prediction"], 42);
}

#[test]
fn without_golden_cases_nan_and_infinities_are_answered_in_words() {
    for (scale, word) in [
        (f32::NAN, "NaN"),
        (f32::INFINITY, "Infinity"),
        (f32::NEG_INFINITY, "-Infinity"),
    ] {
        let repository = Repository::empty();
        repository.put("double", "v1.0.0", scale, "");
        let service = Service::start(repository.path(), &[]);
        // Valid JSON, whatever the model says.
        assert_eq!(service.get("/predict/21").json()["prediction"], word);
        let x = r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[21]}]}"#;
        let reply = service.post("/v2/models/double/infer", x);
        assert_eq!(reply.json()["outputs"][0]["data"][0], word);
    }
}
