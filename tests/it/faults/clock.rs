//! The clock of the day jumps.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{library, serve, until};
use crate::{process::Serving, repository::Repository};

/// Stands before the C library's clock, and adds the seconds that a file says.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    const char *path = getenv("TEST_CLOCK");
    if (result == 0 && path && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        FILE *file = fopen(path, "r");
        long offset = 0;
        if (file) {
            if (fscanf(file, "%ld", &offset) == 1) time->tv_sec += offset;
            fclose(file);
        }
    }
    return result;
}
"#;

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_clock_that_jumps_holds_up_nothing() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.2", 2.0, "");
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let set = |offset: i64| {
        let next = folder.path().join("next");
        fs::write(&next, offset.to_string()).unwrap();
        fs::rename(&next, &clock).unwrap();
    };
    set(0);
    let shim = library(folder.path(), "clock.so", SHIM);
    let mut command = serve(repository.path(), &["--access-log"]);
    command.env("LD_PRELOAD", shim).env("TEST_CLOCK", &clock);
    let serving = Serving::start(command);
    const DAY: i64 = 86_400;
    // Back by years, nearly to 1970, before which Linux sets no clock, and
    // forward beyond 2038.
    for (number, offset) in [-3000 * DAY, -20_000 * DAY, 10_000 * DAY, 0]
        .into_iter()
        .enumerate()
    {
        set(offset);
        let version = format!("v1.0.{}", number + 3);
        #[expect(clippy::cast_precision_loss, reason = "small")]
        repository.put("double", &version, (number + 3) as f32, "");
        let right = format!("\"prediction\":{},", 21 * (number + 3));
        until("the new version is served", || {
            let within = "request-timeout: 60s\r\n";
            let (status, _, body) = serving.get("/predict/21", within);
            assert_eq!(status, 200, "{body}");
            body.contains(&right)
        });
        for path in [
            "/metrics",
            "/figures",
            "/healthz",
            "/models/double",
            "/readyz",
        ] {
            assert_eq!(serving.get(path, "").0, 200, "{path} at {offset}");
        }
    }
    let log = serving.stop();
    // It did jump.
    let years: BTreeSet<&str> = log
        .iter()
        .filter_map(|line| line.split("\"timestamp\":\"").nth(1)?.get(..4))
        .collect();
    assert!(years.len() >= 3, "{years:?}");
}

/// Intervals are of the clock that can't be set. The clock of the day is for
/// what people read.
#[test]
fn only_what_is_shown_reads_the_clock_of_the_day() {
    let shown = [
        // When a version became ready.
        "src/catalog/card.rs",
        // When a model last ran.
        "src/telemetry/model.rs",
        // When a sample was taken.
        "src/telemetry/recent.rs",
        // When a span began.
        "src/telemetry/trace.rs",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut found: BTreeSet<PathBuf> = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let is_test = path.ends_with("tests.rs");
                if code.contains("SystemTime") && !is_test {
                    found.insert(path.strip_prefix(root).unwrap().to_owned());
                }
            }
        }
    }
    let shown: BTreeSet<PathBuf> = shown.iter().map(PathBuf::from).collect();
    assert_eq!(found, shown);
}
