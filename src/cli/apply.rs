//! `infra apply` and `infra destroy`.

use std::path::PathBuf;

use clap::Args;

use super::{Review, Shape};
use crate::model::duration::Duration;

#[derive(Args, Debug)]
pub struct Apply {
    /// A plan saved by `infra plan --out FILE`: refused if what it rests on has changed
    #[arg(value_name = "PLANFILE", conflicts_with_all = ["target", "exclude"])]
    pub plan_file: Option<PathBuf>,
    #[command(flatten)]
    pub shape: Shape,
    /// Apply as `infra destroy` does
    #[arg(long, hide = true)]
    pub destroy: bool,
    #[command(flatten)]
    pub how: How,
}

#[derive(Args, Debug)]
pub struct Destroy {
    #[command(flatten)]
    pub shape: Shape,
    #[command(flatten)]
    pub how: How,
}

/// How to apply.
#[derive(Args, Clone, Debug)]
pub struct How {
    /// Do not ask. Approves changes; never overrides a guard
    #[arg(long)]
    pub auto_approve: bool,
    /// Apply only if the plan has this digest; counts as approval
    #[arg(long, value_name = "HEX")]
    pub expect_digest: Option<String>,
    /// Apply only if the plan is the one that our comment on the merged pull request shows; counts as approval
    #[arg(long, conflicts_with = "expect_digest")]
    pub expect_digest_from_pr: bool,
    #[command(flatten)]
    pub review: Review,
    /// This may be destroyed; may be repeated. `all` outside protected environments
    #[arg(long, value_name = "ADDRESS")]
    pub allow_destroy: Vec<String>,
    /// How long to wait for another run to end
    #[arg(long, value_name = "DURATION", env = "INFRA_LOCK_TIMEOUT", default_value = "0s")]
    pub lock_timeout: Duration,
    /// Most changes at once
    #[arg(long, value_name = "N", env = "INFRA_PARALLELISM", default_value_t = 8, value_parser = at_least_one)]
    pub parallelism: usize,
    /// Print events and the account as JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Print only which objects change
    #[arg(long)]
    pub summary: bool,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number @ 1..=256) => Ok(number),
        _ => Err("expected a number from 1 to 256".into()),
    }
}
