//! The arguments of `infra man`.

use std::path::PathBuf;

use clap::Args;

#[derive(Args, Debug)]
pub struct Man {
    /// Write a page for each command into this folder, instead of printing that of `infra`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
