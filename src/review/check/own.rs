//! One model whose bytes are the ones that its manifest names.

use super::{Checked, Findings, NO_DESCRIPTION, Rule, Severity};
use crate::{
    engine::Engine,
    repository::{Candidate, MANIFEST, Problem, VerifiedModel, onnx},
    review::{exercise::Loaded, sampling::Sampler},
    scheduler::{Batching, Inputs, prove_batching},
    tensor::{Dim, Signature},
};

/// One model whose bytes are the ones that its manifest names.
pub(super) struct Own<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) verified: &'a VerifiedModel,
    pub(super) findings: &'a mut Findings,
}

impl Own<'_> {
    fn graph_problem(&self, reason: impl Into<String>, remedy: impl Into<String>) -> Problem {
        let file = self
            .candidate
            .folder
            .join(&self.verified.manifest.graph().path);
        Problem::new(file, reason, remedy)
    }

    pub(super) fn manifest_problem(
        &self,
        key: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        Problem::new(self.candidate.folder.join(MANIFEST), reason, remedy).at(None, key)
    }

    /// What could be learned of it, and the loaded model; `None` when the
    /// engine can't load it.
    pub(super) fn check(&mut self, engine: &dyn Engine) -> Option<(Checked, Loaded)> {
        // The file was walked before, so it can be walked again.
        for fault in onnx::faults(&self.verified.bytes.graph).unwrap_or_default() {
            let remedy = "export the model again; an exporter or an edit broke it";
            let problem = self.graph_problem(fault, remedy);
            self.findings.add(Severity::Error, Rule::Structure, problem);
        }
        let mut loaded = match Loaded::of(engine, self.verified) {
            Ok(loaded) => loaded,
            Err(e) => {
                let remedy = self.load_remedy(engine);
                let problem = self.graph_problem(e.to_string(), remedy);
                self.findings.add(Severity::Error, Rule::Engine, problem);
                return None;
            }
        };
        let signature = loaded.signature().clone();
        self.features(&signature);
        self.ranges(&signature);
        self.description();
        self.unused_files();
        let inputs = self.golden(&mut loaded);
        let batching = self.batching(&mut loaded, &signature, inputs);
        let verified = self.verified;
        let external = verified.bytes.external.iter().map(|(_, bytes)| bytes.len());
        let checked = Checked {
            name: verified.id.name.to_string(),
            version: verified.id.version.to_string(),
            bytes: (verified.bytes.graph.len() + external.sum::<usize>()) as u64,
            cases: verified.cases.len(),
            sampled_cases: verified.cases.iter().filter(|c| c.sampled).count(),
            load_milliseconds: loaded.load.as_secs_f64() * 1e3,
            load_memory: loaded.memory,
            batching,
        };
        Some((checked, loaded))
    }

    fn description(&mut self) {
        if self.verified.manifest.description == NO_DESCRIPTION {
            let remedy = "say in a sentence what the model predicts";
            let problem = self.manifest_problem("description", "nobody has written it", remedy);
            self.findings
                .add(Severity::Warning, Rule::Repository, problem);
        }
    }

    /// What to do about a model that does not load, by what it needs.
    fn load_remedy(&self, engine: &dyn Engine) -> String {
        let outline = &self.verified.outline;
        let opsets: Vec<String> = outline
            .opsets
            .iter()
            .map(|(domain, version)| format!("{domain} {version}"))
            .collect();
        format!(
            "export it for operators and an opset that {} has; it asks for {}",
            engine.version(),
            opsets.join(", ")
        )
    }

    /// Runs the golden cases, and gives the inputs of those that hold.
    fn golden(&mut self, loaded: &mut Loaded) -> Vec<Inputs> {
        let mut inputs = Vec::new();
        for case in &self.verified.cases {
            match loaded.verify(case, self.verified.manifest.tolerance) {
                Ok(own) => inputs.push(own),
                Err(reason) => {
                    let file = self
                        .candidate
                        .folder
                        .join(format!("cases/{}.json", case.name));
                    let remedy = "if the new answer is the right one, record it with `modelship add`; \
                                  else the model is wrong";
                    let problem = Problem::new(file, reason, remedy);
                    self.findings
                        .add(Severity::Error, Rule::GoldenCase, problem);
                }
            }
        }
        let cases = &self.verified.cases;
        let remedy = "record what you know that it must answer: `modelship add --cases`";
        let reason = if cases.is_empty() {
            "it has no golden case, so nothing proves what it answers"
        } else if cases.iter().all(|c| c.sampled) {
            "its golden cases are all drawn at random, so they prove only that it does not change"
        } else {
            return inputs;
        };
        let problem = Problem::new(self.candidate.folder.join("cases"), reason, remedy);
        self.findings
            .add(Severity::Warning, Rule::GoldenCase, problem);
        inputs
    }

    /// Whether a batch gives what its rows give alone: tried with rows that
    /// are drawn at random besides those of the golden cases, which may be
    /// one row only.
    fn batching(
        &mut self,
        loaded: &mut Loaded,
        signature: &Signature,
        cases: Vec<Inputs>,
    ) -> String {
        let settings = &self.verified.manifest.scheduling;
        if settings.max_batch_size == Some(1) {
            return "off: max_batch_size is 1".to_owned();
        }
        let mut samples = Vec::new();
        if signature.has_dynamic_rows() {
            let mut sampler = Sampler::new(&self.verified.id.name);
            sampler.keep_to(&self.verified.manifest, signature);
            for inputs in &cases {
                sampler.learn(signature, inputs);
            }
            samples = sampler.accepted(&mut *loaded.session, signature, 4);
        }
        samples.extend(cases);
        if samples.is_empty() && signature.has_dynamic_rows() {
            let reason = "no input was taken that was drawn at random within its shapes and types, so \
                          nothing shows whether its rows depend on each other";
            let remedy = "record inputs that it takes with `modelship add --cases`";
            let problem = self.manifest_problem("scheduling.max_batch_size", reason, remedy);
            let severity = match settings.max_batch_size {
                Some(_) => Severity::Error,
                None => Severity::Warning,
            };
            self.findings.add(severity, Rule::Batch, problem);
            return "off: there is no sample to prove it with".to_owned();
        }
        let tolerance = self.verified.manifest.tolerance;
        match prove_batching(&mut *loaded.session, signature, &samples, tolerance) {
            Ok(Batching::On) => "on".to_owned(),
            Ok(Batching::Off(reason)) => {
                let wanted = settings.max_batch_size.is_some();
                // Where the signature rules batches out, nobody is surprised.
                if wanted || signature.has_dynamic_rows() {
                    let severity = if wanted {
                        Severity::Error
                    } else {
                        Severity::Warning
                    };
                    let remedy = if wanted {
                        "set max_batch_size = 1, or export the model so that its rows do not depend on \
                         each other"
                    } else {
                        "its requests will run one by one; export it so that its rows do not depend on \
                         each other, or set max_batch_size = 1 if that is meant"
                    };
                    let problem =
                        self.manifest_problem("scheduling.max_batch_size", &*reason, remedy);
                    self.findings.add(severity, Rule::Batch, problem);
                }
                format!("off: {reason}")
            }
            Err(e) => {
                let remedy = "look at the golden cases: the model failed on inputs of its own type and shape";
                let problem = self.graph_problem(e.to_string(), remedy);
                self.findings.add(Severity::Error, Rule::Engine, problem);
                format!("off: {e}")
            }
        }
    }

    fn features(&mut self, signature: &Signature) {
        for (input, names) in &self.verified.manifest.features {
            let key = format!("features.{input}");
            let Some(spec) = signature.input_index(input).map(|i| &signature.inputs[i]) else {
                let own: Vec<_> = signature.inputs.iter().map(|i| &*i.name).collect();
                let reason = format!("the model has no input \"{input}\"");
                let remedy = format!("its inputs are {}", own.join(", "));
                let problem = self.manifest_problem(&key, reason, remedy);
                self.findings.add(Severity::Error, Rule::Features, problem);
                continue;
            };
            let width = match spec.dims.as_deref() {
                Some([_, Dim::Fixed(width)]) => Some(*width),
                Some([_, _]) | None => None,
                Some(_) => Some(1),
            };
            if let Some(width) = width.filter(|&width| width != names.len()) {
                let reason = format!(
                    "it names {} columns, and the input takes {width} ({})",
                    names.len(),
                    spec.shape_text()
                );
                let problem =
                    self.manifest_problem(&key, reason, "name each column once, in order");
                self.findings.add(Severity::Error, Rule::Features, problem);
            }
        }
    }

    /// Files that are listed, and that the graph takes nothing from.
    fn unused_files(&mut self) {
        let verified = self.verified;
        let graph = &verified.manifest.graph().path;
        let folder = graph
            .rsplit_once('/')
            .map(|(folder, _)| format!("{folder}/"));
        for file in &verified.manifest.files {
            let used = verified.bytes.external.iter().any(|(location, _)| {
                let plain = location.strip_prefix("./").unwrap_or(location);
                format!("{}{plain}", folder.as_deref().unwrap_or_default()) == file.path
            });
            if file.path != *graph && !used {
                let problem = Problem::new(
                    self.candidate.folder.join(&file.path),
                    "it is listed, and the graph takes nothing from it",
                    "take it out of the manifest and the folder",
                );
                self.findings
                    .add(Severity::Warning, Rule::Repository, problem);
            }
        }
    }
}
