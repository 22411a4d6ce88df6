//! The catalog, held beside a plain telling of what must hold of it, through
//! any sequence of what can happen: the repository changes in the middle of a
//! load, loads fail and panic, callers take leases, ask, wait and go away, an
//! operator loads and unloads, and the end comes at any moment.
//!
//! One step after the other: the engine stops at each load until the test says
//! how it goes on, so nothing here depends on who is quicker.

mod drive;
mod engine;
mod truth;

use proptest::{prelude::*, test_runner::RngSeed};

use self::{
    drive::Drive,
    engine::Verdict,
    truth::{Content, Key, Kind, MODELS, VERSIONS},
};

/// What can happen.
#[derive(Debug, Clone)]
enum Step {
    /// A version is put in place, or another in its place.
    Put(Key, Content),
    Remove(Key),
    /// Its manifest becomes nonsense.
    Spoil(Key),
    /// The repository's folder goes away, or comes back.
    Move,
    /// The manager looks at the repository, until it loads something.
    Pass,
    /// An operator loads a model.
    Load(usize),
    /// An operator unloads a model.
    Unload(usize),
    /// The load that is under way goes on.
    Verdict(Verdict),
    Lease(usize, Option<usize>),
    Drop(usize),
    /// A caller asks on one of the leases.
    Ask(usize),
    /// One of the callers that wait goes away.
    Leave(usize),
    /// Runs take their time from now on.
    Hold,
    /// They don't any more.
    Release,
}

fn key() -> impl Strategy<Value = Key> {
    (0..MODELS.len(), 0..VERSIONS.len())
}

fn content() -> impl Strategy<Value = Content> {
    let kind = prop_oneof![
        6 => Just(Kind::Sound),
        1 => Just(Kind::WrongHash),
        1 => Just(Kind::WrongCase),
        1 => Just(Kind::NoModel),
    ];
    // Few scales, so that a content comes back.
    (1..4u8, kind).prop_map(|(scale, kind)| Content { scale, kind })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Go),
        1 => Just(Verdict::Fail),
        1 => Just(Verdict::Panic),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let model = || 0..MODELS.len();
    prop_oneof![
        6 => (key(), content()).prop_map(|(key, content)| Step::Put(key, content)),
        2 => key().prop_map(Step::Remove),
        1 => key().prop_map(Step::Spoil),
        1 => Just(Step::Move),
        6 => Just(Step::Pass),
        1 => model().prop_map(Step::Load),
        1 => model().prop_map(Step::Unload),
        4 => verdict().prop_map(Step::Verdict),
        4 => (model(), prop::option::of(0..VERSIONS.len())).prop_map(|(m, v)| Step::Lease(m, v)),
        2 => any::<usize>().prop_map(Step::Drop),
        5 => any::<usize>().prop_map(Step::Ask),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => Just(Step::Hold),
        2 => Just(Step::Release),
    ]
}

/// The same sequences each time, unless PROPTEST_CASES asks for so many others.
fn config() -> ProptestConfig {
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return config;
    }
    ProptestConfig {
        cases: 150,
        rng_seed: RngSeed::Fixed(20),
        ..config
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn holds_whatever_happens_in_whatever_order(steps in prop::collection::vec(step(), 1..60)) {
        let mut drive = Drive::new();
        for step in &steps {
            drive.step(step);
        }
        drive.shut_down();
    }
}
