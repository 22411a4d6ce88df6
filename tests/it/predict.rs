//! `/predict`: numbers and rows in, predictions out.

use crate::service::{Service, models};

#[test]
fn a_number_gives_the_documented_bytes() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    let reply = service.get("/predict/21");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.body,
        r#"{"input":21,"prediction":48,"model_version":"v1.1.0"}"#
    );
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(service.get("/predict/linear/21").body, reply.body);
}

#[test]
fn the_way_past_the_router_answers_as_the_router_does() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    // What is percent-encoded goes by the router.
    for (plain, routed) in [
        ("/predict/21", "/predict/%32%31"),
        ("/predict/-", "/predict/%2d"),
        ("/predict/1.2.3", "/predict/1.2%2e3"),
    ] {
        let (plain, routed) = (service.get(plain), service.get(routed));
        assert_eq!(plain.status, routed.status);
        assert_eq!(plain.body, routed.body);
        let names = |headers: &http::HeaderMap| {
            let mut names: Vec<_> = headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&plain.headers), names(&routed.headers));
    }
}

#[test]
fn a_number_is_written_as_its_type_holds_it() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    for (given, shown) in [
        ("21.0", "21"),
        ("2.1e1", "21"),
        ("-3", "-3"),
        ("0.1", "0.1"),
        ("16777217", "16777216"),
    ] {
        let reply = service.get(&format!("/predict/{given}"));
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(
            reply.body.starts_with(&format!("{{\"input\":{shown},")),
            "{given}: {}",
            reply.body
        );
    }
}

#[test]
fn what_is_no_number_gets_a_sentence() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    for text in [
        "abc",
        "1e39",
        "-1e39",
        "NaN",
        "nan",
        "inf",
        "Infinity",
        "+1",
        "1.",
        ".5",
        "0x10",
        "1_000",
        "%20",
        "21%20",
        "true",
        "null",
        "[1]",
        "%2221%22",
        "1e999999999",
    ] {
        let reply = service.get(&format!("/predict/{text}"));
        assert_eq!(reply.status, 400, "{text}: {}", reply.body);
        assert!(
            reply.error().contains("is not a number that FP32 can hold"),
            "{text}: {}",
            reply.body
        );
    }
    assert_eq!(service.get("/predict/").status, 404);
    assert_eq!(service.get("/predict/21/").status, 404);
    assert_eq!(service.get("/predict/%ff").status, 400);
}

#[test]
fn rows_by_position_and_by_name_are_the_same() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    let card = service.get("/models/iris").json();
    let names: Vec<String> = card["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 4);
    let row = [5.1, 3.5, 1.4, 0.2];
    let by_position = service.post("/predict/iris", "[[5.1,3.5,1.4,0.2]]");
    assert_eq!(by_position.status, 200, "{}", by_position.body);
    let named: serde_json::Map<String, serde_json::Value> = names
        .iter()
        .rev()
        .zip(row.iter().rev())
        .map(|(n, v)| (n.clone(), (*v).into()))
        .collect();
    let by_name = service.post(
        "/predict/iris",
        &serde_json::json!({ "rows": [named] }).to_string(),
    );
    assert_eq!(by_position.body, by_name.body);
    let json = by_name.json();
    assert_eq!(json["predictions"], serde_json::json!(["setosa"]));
    assert_eq!(json["model_version"], "v1.0.0");
    let probabilities = json["outputs"]
        .as_object()
        .unwrap()
        .values()
        .next()
        .unwrap();
    let total: f64 = probabilities[0]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p.as_f64().unwrap())
        .sum();
    assert!((total - 1.0).abs() < 1e-5, "{json}");
}

#[test]
fn several_rows_give_one_prediction_each() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    let reply = service.post("/predict", r#"{"rows":[[21],[0],{"distance_km":21}]}"#);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let predictions = reply.json()["predictions"].as_array().unwrap().clone();
    assert_eq!(predictions.len(), 3);
    assert_eq!(predictions[0], 48);
    assert_eq!(predictions[2], 48);
}

#[test]
fn rows_that_do_not_fit_are_named() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    for (body, words) in [
        ("", "not rows"),
        ("{}", "rows"),
        ("[]", "no rows"),
        ("[[1,2]]", "row 0 has 2 values"),
        ("[[1],[\"a\"]]", "row 1"),
        ("[[null]]", "null"),
        ("[[1e39]]", "does not fit FP32"),
        ("[[[1]]]", "takes a number"),
        ("[{\"distance_km\":1,\"distance_km\":2}]", "twice"),
        ("[{\"distance\":1}]", "unknown feature \"distance\""),
        ("[{}]", "lacks the feature \"distance_km\""),
        ("{\"rows\":[[1]],\"more\":1}", "more"),
        ("[[1]] x", "trailing"),
        ("\u{0}", "not rows"),
    ] {
        let reply = service.post("/predict", body);
        assert_eq!(reply.status, 400, "{body}: {}", reply.body);
        assert!(reply.error().contains(words), "{body}: {}", reply.body);
    }
    let reply = service.send("POST", "/predict", &[], b"[[\"\xff\"]]");
    assert_eq!(reply.status, 400);
    assert!(reply.error().contains("not UTF-8"));
}

#[test]
fn a_model_of_several_features_does_not_take_one_number() {
    let service = Service::start(&models(), &[("default-model", "iris")]);
    let reply = service.get("/predict/21");
    assert_eq!(reply.status, 400);
    assert!(reply.error().contains("POST rows"), "{}", reply.body);
}

#[test]
fn without_a_default_a_model_must_be_named() {
    let service = Service::start(&models(), &[]);
    let reply = service.get("/predict/21");
    assert_eq!(reply.status, 404);
    assert!(
        reply.error().contains("\"iris\", \"linear\""),
        "{}",
        reply.body
    );
}
