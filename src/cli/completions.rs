//! `modelship completions`.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  modelship completions bash > ~/.local/share/bash-completion/completions/modelship
  modelship completions zsh  > \"${fpath[1]}/_modelship\"
  modelship completions fish > ~/.config/fish/completions/modelship.fish";

pub(super) fn command() -> Command {
    Command::new("completions")
        .about("Prints the completions of a shell")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(value_parser!(Shell))
                .help("The shell"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    if let Some(&shell) = matches.get_one::<Shell>("shell") {
        // By way of memory: `clap_complete` panics where it can't write.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut super::command(), "modelship", &mut script);
        super::write_out(&script)?;
    }
    Ok(ExitCode::SUCCESS)
}
