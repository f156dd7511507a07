//! `infra comment`.

use std::path::PathBuf;

use clap::Args;

use super::Review;

/// Where the token comes from, and what happens without.
const COMMENT_HELP: &str = "\
In GitHub Actions, GITHUB_TOKEN must be set, with `permissions: {pull-requests: write}`. In GitLab CI, GITLAB_TOKEN: a project
access token with the scope `api`; CI_JOB_TOKEN may not write notes.

A comment that cannot be written is a warning: the exit code stays 0. A comment about a newer commit is never overwritten.";

#[derive(Args, Debug)]
#[command(after_help = COMMENT_HELP)]
pub struct Comment {
    /// Plans saved by `infra plan --out FILE` or `--json-into FILE`
    #[arg(value_name = "PLANFILE", required = true)]
    pub plan_files: Vec<PathBuf>,
    /// One comment for all, with a line for each environment, instead of one for each
    #[arg(long)]
    pub combine: bool,
    /// Print the comment instead
    #[arg(long)]
    pub stdout: bool,
    #[command(flatten)]
    pub review: Review,
    /// Also label the pull request `infra/ENV: destroy`, `change` or `no-changes`
    #[arg(long, conflicts_with = "stdout")]
    pub label: bool,
    /// Write the counts for GitLab's widget: `artifacts: {reports: {terraform: FILE}}`
    #[arg(long, value_name = "FILE")]
    pub gitlab_report: Option<PathBuf>,
}
