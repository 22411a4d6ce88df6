//! `/` for browsers, and what the page reads.

use std::io::Read;

use modelship::repository::Digest;
use serde_json::Value;

use crate::service::{Service, agent, models};

/// The answer to a browser: headers, and the body as it was sent.
fn visit(service: &Service, headers: &[(&str, &str)]) -> (http::Response<()>, Vec<u8>) {
    let request = agent()
        .get(service.url("/"))
        .header("accept", "text/html,*/*;q=0.8");
    let request = headers.iter().fold(request, |r, (k, v)| r.header(*k, *v));
    let (parts, body) = request.call().unwrap().into_parts();
    let mut bytes = Vec::new();
    body.into_reader().read_to_end(&mut bytes).unwrap();
    (http::Response::from_parts(parts, ()), bytes)
}

fn header<'a>(response: &'a http::Response<()>, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

#[test]
fn a_browser_gets_the_page_in_a_coding_that_it_takes() {
    let service = Service::start(&models(), &[]);
    let (plain, html) = visit(&service, &[("accept-encoding", "identity")]);
    assert!(plain.headers().get("content-encoding").is_none());
    assert_eq!(header(&plain, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&plain, "vary"), "accept, accept-encoding");
    let (gzip, packed) = visit(&service, &[("accept-encoding", "gzip, br;q=0")]);
    assert_eq!(header(&gzip, "content-encoding"), "gzip");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, html);
    let (brotli, packed) = visit(&service, &[("accept-encoding", "gzip, br")]);
    assert_eq!(header(&brotli, "content-encoding"), "br");
    assert!(packed.len() < 150_000, "{}", packed.len());
}

#[test]
fn who_has_the_page_is_not_sent_it_again() {
    let service = Service::start(&models(), &[]);
    let (first, _) = visit(&service, &[]);
    let tag = header(&first, "etag").to_owned();
    let list = format!("\"other\", {}", tag.trim_start_matches("W/"));
    for known in [&tag, &list, "*"] {
        let (same, nothing) = visit(&service, &[("if-none-match", known)]);
        assert_eq!(same.status(), http::StatusCode::NOT_MODIFIED, "{known}");
        assert!(nothing.is_empty());
        for name in ["etag", "vary", "cache-control", "content-security-policy"] {
            assert_eq!(header(&same, name), header(&first, name));
        }
    }
    let (whole, _) = visit(&service, &[("if-none-match", "\"other\"")]);
    assert_eq!(whole.status(), http::StatusCode::OK);
}

#[test]
fn the_reference_s_script_comes_in_a_coding_that_is_taken_and_once() {
    let service = Service::start(&models(), &[]);
    let get = |name: &str, value: &str| {
        let url = service.url("/docs/swagger-ui.js");
        agent().get(url).header(name, value).call().unwrap()
    };
    let packed = get("accept-encoding", "gzip");
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let plain = get("accept-encoding", "gzip;q=0");
    assert!(!plain.headers().contains_key("content-encoding"));
    let tag = packed.headers()["etag"].to_str().unwrap();
    assert_eq!(get("if-none-match", tag).status(), 304);
}

#[test]
fn the_policy_is_of_the_page_s_own_script_and_style() {
    let service = Service::start(&models(), &[]);
    let (response, html) = visit(&service, &[("accept-encoding", "identity")]);
    let policy = header(&response, "content-security-policy");
    let html = String::from_utf8(html).unwrap();
    for (element, directive) in [("script", "script-src"), ("style", "style-src")] {
        let content = html.split(&format!("<{element}>")).nth(1).unwrap();
        let content = content.split(&format!("</{element}>")).next().unwrap();
        let digest: Vec<u8> = (0..32)
            .map(|i| {
                u8::from_str_radix(
                    &Digest::of(content.as_bytes()).to_string()[2 * i..2 * i + 2],
                    16,
                )
                .unwrap()
            })
            .collect();
        let expected = format!("{directive} 'sha256-{}'", base64(&digest));
        assert!(policy.contains(&expected), "{expected} in {policy}");
    }
}

/// As policies write digests.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0, |n, &b| n << 8 | u32::from(b)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[test]
fn who_asks_for_no_page_gets_the_links() {
    let service = Service::start(&models(), &[]);
    for accept in [
        "*/*",
        "application/json",
        "text/html;q=0",
        "text/html;q=0.5, application/json",
    ] {
        let request = agent().get(service.url("/")).header("accept", accept);
        let mut answer = request.call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let index: Value = serde_json::from_str(&text).expect(accept);
        assert_eq!(index["links"]["models"], "/models");
    }
}

#[test]
fn golden_cases_can_be_read() {
    let service = Service::start(&models(), &[]);
    let answer = service.get("/models/linear/cases").json();
    assert_eq!(answer["version"], "v1.1.0");
    let cases = answer["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let file = std::fs::read(models().join(format!("linear/cases/{name}.json"))).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(case["inputs"], file["inputs"]);
        assert_eq!(case["outputs"], file["outputs"]);
    }
    assert_eq!(service.get("/models/nothing/cases").status, 404);
}
