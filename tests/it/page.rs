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
    // Who has it is not sent it again.
    let tag = header(&brotli, "etag").to_owned();
    let (same, nothing) = visit(&service, &[("if-none-match", &tag)]);
    assert_eq!(
        (same.status(), nothing.len()),
        (http::StatusCode::NOT_MODIFIED, 0)
    );
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
    assert_eq!(service.get("/").json()["links"]["models"], "/models");
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
