//! `infra access`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
pub struct Access {
    /// Also ask the servers, and mark what differs; reads only
    #[arg(long)]
    pub actual: bool,
    #[arg(long, value_enum, default_value_t = AccessFormat::Table)]
    pub format: AccessFormat,
    /// Only what concerns this service; may be repeated
    #[arg(long, value_name = "NAME")]
    pub service: Vec<String>,
    /// Only this person, service or login; may be repeated
    #[arg(long, value_name = "NAME")]
    pub who: Vec<String>,
    /// Explain by which memberships somebody may do what in a service, or why not
    #[arg(long, num_args = 2, value_names = ["WHO", "SERVICE"], conflicts_with_all = ["service", "who"])]
    pub why: Option<Vec<String>>,
    /// Write it as a page for a browser instead: one file that loads nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "why"])]
    pub html: Option<PathBuf>,
    /// Exit with 2 when declared and actual differ, or could not be compared
    #[arg(long, requires = "actual")]
    pub detailed_exitcode: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccessFormat {
    Table,
    Json,
    Csv,
}
