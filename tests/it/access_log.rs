//! The access log: a line for each request, where it is asked for.

use std::io::{Read as _, Write as _};

use serde_json::Value;

use crate::process::{Serving, models, modelship};

fn serve(more: &[&str]) -> Serving {
    let mut command = modelship(&["serve", "--listen", "127.0.0.1:0", "--models"]);
    command.arg(models()).args(["--default-model", "linear"]);
    Serving::start({
        command.args(more);
        command
    })
}

fn records(log: &[String]) -> Vec<Value> {
    let all = log.iter().map(|line| serde_json::from_str(line).unwrap());
    all.filter(|record: &Value| record["target"] == "modelship::access")
        .collect()
}

#[test]
fn every_request_is_one_line() {
    let service = serve(&["--access-log"]);
    service.get("/predict/21", "x-request-id: abc\r\n");
    service.get("/predict/iris/21", "");
    service.get("/predict/21?x=secret", "");
    service.get("/nowhere", "");
    let url = format!("http://{}/v2/models/iris/infer", service.address);
    crate::service::send(&crate::service::agent(), &url, "POST", &[], b"{}");
    service.get(&format!("/{}", "long".repeat(1000)), "");
    let lines = records(&service.stop());
    let shown: Vec<_> = lines
        .iter()
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
            (
                text("path"),
                line["status"].as_u64(),
                text("model"),
                text("version"),
            )
        })
        .collect();
    let expected = [
        ("/predict/21", 200, "linear", "v1.1.0"),
        ("/predict/iris/21", 400, "iris", "v1.0.0"),
        ("/predict/21", 400, "-", "-"),
        ("/nowhere", 404, "-", "-"),
        ("/v2/models/iris/infer", 400, "iris", "v1.0.0"),
    ];
    for (shown, (path, status, model, version)) in shown.iter().zip(expected) {
        let expected = (path.into(), Some(status), model.into(), version.into());
        assert_eq!(*shown, expected);
    }
    assert_eq!(shown.len(), 6, "{shown:#?}");
    assert!(shown[5].0.chars().count() < 200, "{}", shown[5].0);
    for line in &lines {
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "request");
        assert!(["GET", "POST"].contains(&line["method"].as_str().unwrap()));
        assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
    }
    assert_eq!(lines[0]["request_id"], "abc");
    assert_eq!(lines[1]["request_id"].as_str().unwrap().len(), 16);
}

#[test]
fn a_caller_that_goes_away_is_a_line_too() {
    let service = serve(&["--access-log"]);
    let mut stream = std::net::TcpStream::connect(service.address).unwrap();
    // The body never comes whole.
    write!(
        stream,
        "POST /predict HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
    )
    .unwrap();
    // The handler asks for the body, so the request has begun.
    let mut interim = [0; 12];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100");
    drop(stream);
    let lines = records(&service.stop());
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["path"], "/predict");
    assert!(
        [400, 499].contains(&lines[0]["status"].as_u64().unwrap()),
        "{lines:#?}"
    );
}

#[test]
fn a_share_of_the_requests_is_shown_by_their_ids() {
    let shown = |share: &str| -> Vec<String> {
        let service = serve(&["--access-log", "--access-log-share", share]);
        for number in 0..40 {
            service.get("/predict/21", &format!("x-request-id: n-{number}\r\n"));
        }
        let lines = records(&service.stop());
        let ids = lines.iter().map(|line| line["request_id"].as_str());
        ids.map(|id| id.unwrap().to_owned()).collect()
    };
    let half = shown("0.5");
    assert!(half.len() > 5 && half.len() < 35, "{half:?}");
    // Another server shows the same.
    assert_eq!(shown("0.5"), half);
    assert_eq!(shown("0"), Vec::<String>::new());
}

#[test]
fn without_it_and_where_its_level_is_off_there_is_no_line() {
    for more in [
        &["--log-level", "trace"][..],
        &["--access-log", "--log-level", "info,modelship::access=off"],
    ] {
        let service = serve(more);
        assert_eq!(service.get("/predict/21", "").0, 200);
        assert_eq!(records(&service.stop()).len(), 0);
    }
}
