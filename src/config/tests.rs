//! Settings from all sources together.

use std::{collections::HashSet, io::Write as _};

use super::*;

fn load(flags: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let flags = flags
        .iter()
        .map(|(n, v)| ((*n).to_owned(), OsString::from(v)));
    let variables = variables
        .iter()
        .map(|(n, v)| (OsString::from(n), OsString::from(v)));
    Config::load(flags, variables)
        .map_err(|problems| problems.iter().map(Problem::to_string).collect())
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn without_anything_the_defaults_hold() {
    let config = load(&[], &[]).unwrap();
    assert_eq!(config.models, PathBuf::from("models"));
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.max_body_size, 64 << 20);
    assert_eq!(config.drain_pause, Duration::ZERO);
    assert_eq!(config.drain_timeout, Duration::from_secs(30));
    let scheduling = scheduler::Settings {
        max_run_time: Some(Duration::from_secs(30)),
        ..Default::default()
    };
    assert_eq!(config.scheduling, scheduling);
    assert!(config.event_loops >= 1);
    assert!(!config.allow_repository_control && !config.access_log);
}

#[test]
fn a_flag_beats_the_variable_which_beats_the_file() {
    let file =
        file("listen = \"127.0.0.1:1\"\nmodels = 'file'\ninstances = 3\naccess-log = true\n");
    let path = file.path().to_str().unwrap();
    let config = load(
        &[("config", path), ("listen", "127.0.0.1:3")],
        &[
            ("MODELSHIP_LISTEN", "127.0.0.1:2"),
            ("MODELSHIP_MODELS", "variable"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.models, PathBuf::from("variable"));
    assert_eq!(config.scheduling.instances, Some(3));
    assert!(config.access_log);

    let config = load(&[], &[("MODELSHIP_CONFIG", path)]).unwrap();
    assert_eq!(config.listen.port(), 1);
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let file = file(
        "# settings\nlisten = \"8080\"\nmax_body_size = 5\n\ndrain-timeout = 30\n[log]\nlevel = \"x\"\n",
    );
    let path = file.path().to_str().unwrap();
    let problems = load(
        &[("config", path), ("instances", "0"), ("log-level", "inof")],
        &[
            ("MODELSHIP_LISTNE", "0.0.0.0:80"),
            ("MODELSHIP_MAX_BODY_SIZE", "64M"),
        ],
    )
    .unwrap_err();
    let expected = [
        "MODELSHIP_LISTNE: there is no such setting; did you mean MODELSHIP_LISTEN?".to_owned(),
        format!("{path}, line 2: listen: \"8080\" is not an address: write 0.0.0.0:8080"),
        format!(
            "{path}, line 3: there is no setting \"max_body_size\"; did you mean \"max-body-size\"?"
        ),
        format!("{path}, line 5: drain-timeout: \"30\" is not a duration"),
        format!("{path}, line 6: there is no setting \"log\""),
        "MODELSHIP_MAX_BODY_SIZE: \"64M\" is not a size".to_owned(),
        "--instances: \"0\" is not a whole number from 1 to 1024".to_owned(),
        "--log-level: \"inof\" is not a level".to_owned(),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(&expected), "{problem}\n{expected}");
    }
}

#[test]
fn a_file_that_is_no_toml_names_the_line() {
    let file = file("listen = \"0.0.0.0:80\"\nmodels = \n");
    let path = file.path().to_str().unwrap();
    let problems = load(&[("config", path)], &[]).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(
        problems[0].starts_with(&format!("{path}, line 2: ")),
        "{problems:#?}"
    );

    let problems = load(&[("config", "/nowhere.toml")], &[]).unwrap_err();
    assert!(problems[0].starts_with("/nowhere.toml: the file of settings can't be read"));
}

#[test]
fn a_value_that_is_twice_in_the_file_names_the_line() {
    let file = file("models = \"a\"\nmodels = \"b\"\n");
    let path = file.path().to_str().unwrap();
    let problems = load(&[("config", path)], &[]).unwrap_err();
    assert!(
        problems[0].starts_with(&format!("{path}, line 2: ")),
        "{problems:#?}"
    );
}

#[test]
fn the_variables_that_kubernetes_makes_for_a_service_are_left_alone() {
    for name in [
        "modelship",
        "modelship-canary",
        "modelship-config",
        "modelship-image",
    ] {
        let prefix = name.replace('-', "_").to_uppercase();
        let tcp = "tcp://10.0.0.1:8080";
        let made = [
            (format!("{prefix}_SERVICE_HOST"), "10.0.0.1"),
            (format!("{prefix}_SERVICE_PORT"), "8080"),
            (format!("{prefix}_SERVICE_PORT_HTTP"), "8080"),
            (format!("{prefix}_PORT"), tcp),
            (format!("{prefix}_PORT_8080_TCP"), tcp),
            (format!("{prefix}_PORT_8080_TCP_PROTO"), "tcp"),
            (format!("{prefix}_PORT_8080_TCP_PORT"), "8080"),
            (format!("{prefix}_PORT_8080_TCP_ADDR"), "10.0.0.1"),
        ];
        let made: Vec<_> = made.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        assert_eq!(load(&[], &made), load(&[], &[]), "{name}");
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    assert_eq!(load(&[], &[("MODELSHIP_LISTEN", "")]), load(&[], &[]));
    let problems = load(&[("models", "")], &[]).unwrap_err();
    assert!(problems[0].starts_with("--models: the value is empty"));
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_named() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = OsString::from_vec(vec![b'm', 0xff]);
    let problems = Config::load([], [("MODELSHIP_MODELS".into(), value)]).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "MODELSHIP_MODELS: \"m\u{fffd}\" is not UTF-8"
    );
}

#[test]
fn the_table_of_settings_is_sound() {
    let mut names = HashSet::new();
    for setting in SETTINGS {
        assert!(
            names.insert(setting.name),
            "{} is there twice",
            setting.name
        );
        if let Some(default) = setting.default {
            assert_eq!(
                (setting.apply)(&mut Config::unset(), default),
                Ok(()),
                "{}",
                setting.name
            );
        }
        assert_eq!(
            setting.is_switch(),
            setting.default == Some("false"),
            "{}",
            setting.name
        );
        // Such a variable may be one that Kubernetes makes for a Service.
        assert!(!setting.name.starts_with("port") && !setting.name.starts_with("service"));
        assert!(!setting.help.ends_with('.'), "{}", setting.name);
        assert!(Setting::markdown().contains(&format!("| `{}` |", setting.name)));
    }
}
