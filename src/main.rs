//! The binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    infra::commands::run(std::env::args_os())
}
