//! `modelship add`, ended at any moment: the version that stood or the new
//! one stands, whole.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    checkout::{Checkout, fixture},
    folder::{Files, files},
};

/// The model `line` v1.0.0, of which v1.1.0 changes the file, the manifest
/// and forty golden cases, adds a file, and leaves a README.
struct Replacing {
    checkout: Checkout,
    old: Files,
    new: Files,
    /// How long it takes.
    takes: Duration,
}

impl Replacing {
    fn new() -> Self {
        let checkout = Checkout::new();
        let cases: String = (1..=40).map(|n| format!("{n}\n")).collect();
        let cases = checkout.put("cases.jsonl", cases);
        let whole = fixture("line.onnx");
        let add = ["add", &whole, "--name", "line", "--version", "v1.0.0"];
        let cases = ["--cases", cases.to_str().unwrap()];
        checkout.good(&[&add[..], &cases[..]].concat());
        checkout.put("models/line/README.md", "# Mine\n");
        let mut own = Self {
            old: files(&checkout.path().join("models/line")),
            checkout,
            new: Files::new(),
            takes: Duration::ZERO,
        };
        let started = Instant::now();
        own.finish();
        own.takes = started.elapsed();
        own.new = own.stands();
        let changed = own
            .new
            .iter()
            .filter(|(path, b)| own.old.get(*path) != Some(b));
        assert!(changed.count() > 2 && own.new.len() == own.old.len() + 1);
        own
    }

    fn models(&self) -> PathBuf {
        self.checkout.path().join("models")
    }

    fn stands(&self) -> Files {
        files(&self.models().join("line"))
    }

    fn arguments(file: &str) -> [&str; 6] {
        ["add", file, "--name", "line", "--version", "v1.1.0"]
    }

    /// Adds it, to the end.
    fn finish(&self) {
        self.checkout
            .good(&Self::arguments(&fixture("external/line.onnx")));
    }

    /// Begins to add it, to a repository as it was.
    fn begin(&self) -> Child {
        let folder = self.models().join("line");
        fs::remove_dir_all(&folder).unwrap();
        for (path, content) in &self.old {
            let file = folder.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        self.checkout
            .modelship(&Self::arguments(&fixture("external/line.onnx")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// What lies in the repository beside the model.
    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.models()).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name != "line").collect()
    }

    /// Sends `signal` to one addition after the other, each at a later
    /// moment, and looks at what each leaves.
    fn ended_by(&self, signal: Signal, looks: impl Fn(&Self)) {
        const MOMENTS: u32 = 8;
        for n in 0..2 * MOMENTS {
            let mut adding = self.begin();
            if n < MOMENTS {
                thread::sleep(self.takes * n / MOMENTS);
            } else {
                // Somewhere while it writes; where it is over already, that
                // is a moment as well.
                while self.beside().is_empty() && adding.try_wait().unwrap().is_none() {}
                thread::sleep(Duration::from_micros(2500) * (n - MOMENTS));
            }
            if adding.try_wait().unwrap().is_none() {
                kill_process(Pid::from_child(&adding), signal).unwrap();
            }
            adding.wait().unwrap();
            let stands = self.stands();
            assert!(
                stands == self.old || stands == self.new,
                "moment {n}: neither the old nor the new version, but {:?}",
                stands.keys()
            );
            looks(self);
        }
        // Whatever was left behind, the next one is whole and clears up.
        self.finish();
        assert_eq!(self.stands(), self.new);
        assert_eq!(self.beside(), Vec::<String>::new());
    }
}

#[test]
fn an_interrupt_leaves_one_version_and_nothing_beside_it() {
    Replacing::new().ended_by(Signal::INT, |own| {
        assert_eq!(own.beside(), Vec::<String>::new());
    });
}

#[test]
fn a_kill_leaves_one_version_and_what_nobody_looks_at() {
    Replacing::new().ended_by(Signal::KILL, |own| {
        let left = own.beside();
        let is_passed_over = |name: &String| name.starts_with(".modelship-");
        assert!(left.iter().all(is_passed_over), "{left:?}");
        let scan = modelship::repository::scan(&own.models());
        assert_eq!((scan.candidates.len(), scan.problems), (1, vec![]));
    });
}
