//! The `modelship` command.

fn main() -> std::process::ExitCode {
    modelship::cli::main()
}
