//! Requests that no well-meaning client sends, and some that one does.

use http::Method;
use proptest::{collection::vec, prelude::*, sample::select};

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        any::<String>(),
        select(vec![
            "distance_km",
            "rows",
            "linear",
            "\u{0}",
            "\u{7f}",
            "\u{202e}",
            "é",
            "\\",
            "\"",
        ])
        .prop_map(str::to_owned),
    ]
}

pub(super) fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<f64>().prop_map(|n| n.to_string()),
        any::<f32>().prop_map(|n| format!("{n:e}")),
        any::<i64>().prop_map(|n| n.to_string()),
        "-?[0-9]{1,400}(\\.[0-9]{0,60})?([eE][+-]?[0-9]{0,6})?",
        select(vec![
            "21",
            "-0",
            "1e39",
            "3.4028235e38",
            "1e-400",
            "9223372036854775808",
            "NaN",
            "0x1",
            "+1",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Something like JSON, as text: mostly in form.
pub(super) fn jsonish() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => number(),
        2 => text().prop_map(|t| serde_json::Value::from(t).to_string()),
        1 => select(vec!["null", "true", "\"\\ud800\"", "\"\\u0000\"", "\"", "nul", "", "[]", "{}"])
            .prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(4, 64, 8, |inner| {
        let key = prop_oneof![
            3 => select(vec!["rows", "distance_km", "petal_length", "sepal_width"])
                .prop_map(str::to_owned),
            1 => text(),
        ];
        let key = key.prop_map(|key| serde_json::Value::from(key).to_string());
        prop_oneof![
            3 => vec(inner.clone(), 0..6).prop_map(|all| format!("[{}]", all.join(","))),
            1 => vec((key, inner), 0..5).prop_map(|fields| {
                let fields: Vec<_> = fields.iter().map(|(k, v)| format!("{k}:{v}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    });
    prop_oneof![
        4 => value,
        1 => (1..20_000usize, select(vec!["[", "{\"rows\":", "[{\"distance_km\":"]))
            .prop_map(|(depth, open)| open.repeat(depth)),
    ]
}

/// An inference request, in form or nearly.
pub(super) fn inference() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => select(vec!["distance_km", "petal_length", "x"]).prop_map(str::to_owned),
        1 => text(),
    ];
    let dimension = prop_oneof![
        4 => select(vec!["0", "1", "2", "3"]).prop_map(str::to_owned),
        1 => number(),
    ];
    let datatype = prop_oneof![
        4 => Just("FP32".to_owned()),
        2 => select(vec!["FP64", "INT64", "BYTES", "BOOL", "FP16", "fp32"]).prop_map(str::to_owned),
        1 => text(),
    ];
    let parameters = select(vec![
        "{}",
        "null",
        "{\"binary_data_size\":4}",
        "{\"binary_data_size\":1e30}",
        "{\"binary_data\":true}",
        "{\"shapes\":\"[[1],[1]]\"}",
        "{\"priority\":-1}",
        "{\"timeout\":1}",
        "{\"mine\":\"\u{e9}\"}",
        "{\"classification\":1}",
    ]);
    let data = prop_oneof![
        3 => vec(number(), 0..4).prop_map(|all| format!("[{}]", all.join(","))),
        1 => jsonish(),
    ];
    let input = (name, vec(dimension, 0..4), datatype, parameters.clone(), data).prop_map(
        |(name, shape, datatype, parameters, data)| {
            format!(
                "{{\"name\":{},\"shape\":[{}],\"datatype\":{},\"parameters\":{parameters},\"data\":{data}}}",
                serde_json::Value::from(name),
                shape.join(","),
                serde_json::Value::from(datatype),
            )
        },
    );
    let outputs = select(vec![
        "[]",
        "null",
        "[{\"name\":\"minutes\"}]",
        "[{\"name\":\"y\"}]",
        "[{\"name\":\"minutes\",\"parameters\":{\"binary_data\":true}}]",
    ]);
    (vec(input, 0..4), parameters, outputs, text()).prop_map(|(inputs, parameters, outputs, id)| {
        format!(
            "{{\"id\":{},\"inputs\":[{}],\"parameters\":{parameters},\"outputs\":{outputs}}}",
            serde_json::Value::from(id),
            inputs.join(",")
        )
    })
}

/// A body as bytes: like JSON, like JSON with some bytes changed, or anything.
pub(super) fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => jsonish().prop_map(String::into_bytes),
        2 => (jsonish(), vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)).prop_map(
            |(text, changes)| {
                let mut bytes = text.into_bytes();
                for (at, byte) in changes.iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
                bytes
            }
        ),
        1 => vec(any::<u8>(), 0..2000),
    ]
}

/// A path and a query, percent-encoded or not.
pub(super) fn target() -> impl Strategy<Value = String> {
    let known = vec![
        "v2",
        "v2/models/linear",
        "infer",
        "versions",
        "stats",
        "config",
        "ready",
        "repository",
        "index",
        "health",
        "predict",
        "models",
        "linear",
        "iris",
        "livez",
        "readyz",
        "healthz",
        "metrics",
        "",
        ".",
        "..",
        "%2e%2e",
        "%2F",
        "%00",
        "%ff",
        "%",
        "%zz",
        "*",
        "21",
        "v1.1.0",
    ];
    let encoded = |text: String| {
        percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let segment = prop_oneof![
        4 => select(known).prop_map(str::to_owned),
        1 => number(),
        1 => text(),
        1 => text().prop_map(encoded),
        1 => vec(any::<u8>(), 0..8)
            .prop_map(|b| percent_encoding::percent_encode(&b, percent_encoding::NON_ALPHANUMERIC).to_string()),
    ];
    let path = prop_oneof![
        3 => number().prop_map(|n| format!("/predict/{n}")),
        6 => vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/"))),
        1 => text(),
        1 => (1..60_000usize).prop_map(|n| format!("/models/{}", "x".repeat(n))),
    ];
    let query = prop_oneof![4 => Just(String::new()), 1 => text().prop_map(|q| format!("?{q}"))];
    (path, query).prop_map(|(path, query)| path + &query)
}

pub(super) fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = select(vec![
        "content-type",
        "content-length",
        "accept",
        "x-request-id",
        "request-timeout",
        "expect",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "range",
        "if-none-match",
        "origin",
        "inference-header-content-length",
        "x-forwarded-for",
    ]);
    let value = prop_oneof![
        vec(any::<u8>(), 0..200),
        text().prop_map(String::into_bytes),
        number().prop_map(String::into_bytes),
        select(vec![
            "application/json",
            "1ms",
            "0",
            "-1s",
            "1e300s",
            "nan",
            "gzip",
            "100-continue"
        ])
        .prop_map(|v| v.as_bytes().to_vec()),
    ];
    vec((name.prop_map(str::to_owned), value), 0..4)
}

pub(super) fn method() -> impl Strategy<Value = Method> {
    let all = [
        "GET", "GET", "POST", "POST", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE",
        "CONNECT", "BREW",
    ];
    select(all.to_vec()).prop_map(|name| Method::from_bytes(name.as_bytes()).unwrap())
}
