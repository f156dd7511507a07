//! The arguments of `infra doctor`.

use std::time;

use clap::Args;

/// What the exit codes of a doctor mean.
const EXIT_CODES: &str = "Reads only; every check has a limit in time, and none waits for another.\n\n\
    Exit codes: 0 nothing failed, warnings included; 1 something failed.";

#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct Doctor {
    /// Print the checks as JSON
    #[arg(long)]
    pub json: bool,
    /// Longest time for one check
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = super::span::span)]
    pub timeout: time::Duration,
}
