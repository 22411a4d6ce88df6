//! `modelship top`.

use std::process::Command;

use crate::{
    process::{Serving, modelship, run},
    service::models,
};

fn serve() -> Command {
    modelship(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--log-format=json",
        &format!("--models={}", models().display()),
    ])
}

#[test]
fn once_is_a_table_of_what_is_served() {
    let serving = Serving::start(serve());
    let (status, ..) = serving.get("/predict/linear/21", "");
    assert_eq!(status, 200);
    let url = format!("http://{}", serving.address);
    let told = run(&["top", "--once", &url]).out;
    assert!(told.starts_with("ready, "), "{told}");
    for part in ["linear", "v1.1.0", "iris", "v1.0.0", "req/s"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    serving.stop();
}

#[test]
fn nobody_there_is_a_sentence() {
    // Nobody listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let ended = run(&["top", "--once", &url]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.join("\n").contains("gave no answer"),
        "{:?}",
        ended.err
    );
    assert_eq!(run(&["top", "--once", "ftp://x"]).code, Some(2));
}
