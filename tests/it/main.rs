//! Behaviour of the service, through its public interfaces: the library in
//! this process, and the real binary.

#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test ends where it can't go on, its functions outside #[test] included; and this \
              crate has no outside"
)]

mod access_log;
mod add;
mod answers;
mod batching;
mod catalog;
mod check;
mod checkout;
mod diff;
mod doors;
mod drain;
mod fairness;
mod faults;
mod figures;
mod folder;
mod fuzz;
mod golden;
mod health;
mod hostile;
mod hot_swap;
mod interrupted;
mod limits;
mod logs;
mod memory;
mod metrics;
mod next_steps;
mod page;
mod phoning_home;
mod poison;
mod predict;
mod process;
mod repository;
mod runaway;
mod service;
mod settings;
mod signals;
mod signatures;
mod slow_log;
mod startup;
mod tampered;
mod terminal;
mod tidy;
mod top;
mod traces;
mod unread;
mod wire;
