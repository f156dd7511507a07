//! `infra import`.

use std::path::PathBuf;

use clap::Args;

use crate::model::duration::Duration;

#[derive(Args, Debug)]
pub struct Import {
    /// Write our mark on what is declared and exists without one, and change nothing else: addresses such as
    /// `pg_role.main/orders_app`, in which `*` stands for any text, or `all`
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pub adopt: Vec<String>,
    /// Write the YAML into a file, which must not exist yet
    #[arg(short, long, value_name = "FILE", conflicts_with = "adopt")]
    pub out: Option<PathBuf>,
    /// How long to wait for another run to end
    #[arg(long, value_name = "DURATION", env = "INFRA_LOCK_TIMEOUT", default_value = "0s")]
    pub lock_timeout: Duration,
}
