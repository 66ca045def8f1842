//! The binary: hands the command line to `wharf::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf::cli::run()
}
