//! `infra plan`, and what it has in common with others.

use std::path::PathBuf;

use clap::Args;

/// Which part of a plan, and how many hands.
#[derive(Args, Clone, Debug)]
pub struct Shape {
    /// Only this, and what it needs; `*` stands for any text; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// All but this, and what needs it; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub exclude: Vec<String>,
}

#[derive(Args, Debug)]
pub struct Plan {
    #[command(flatten)]
    pub shape: Shape,
    /// Plan to remove everything
    #[arg(long)]
    pub destroy: bool,
    /// Save the plan for `infra apply FILE`
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
    /// Print the plan for people and save it as JSON
    #[arg(long, value_name = "FILE")]
    pub json_into: Option<PathBuf>,
    /// Print the plan as Markdown, for a pull request
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Also write the plan as a page for a browser: one file that loads nothing
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print only which objects change
    #[arg(long)]
    pub summary: bool,
    /// Exit with 2 when there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Also put it on the pull request, as `infra comment` does
    #[arg(long)]
    pub comment: bool,
    #[command(flatten)]
    pub review: Review,
    /// Also label the pull request `infra/ENV: destroy`, `change` or `no-changes`
    #[arg(long, requires = "comment")]
    pub label: bool,
    /// Write the counts for GitLab's widget: `artifacts: {reports: {terraform: FILE}}`
    #[arg(long, value_name = "FILE")]
    pub gitlab_report: Option<PathBuf>,
    /// Addresses that may be destroyed
    #[arg(long, value_name = "ADDRESS")]
    pub allow_destroy: Vec<String>,
    /// Most changes at once; a plan makes none
    #[arg(long, hide = true, default_value_t = 8)]
    pub parallelism: usize,
    /// Write what was read into a file, for a bug report
    #[arg(long, value_name = "FILE", hide = true)]
    pub save_world: Option<PathBuf>,
    /// Plan from such a file instead of reading
    #[arg(long, value_name = "FILE", hide = true)]
    pub world: Option<PathBuf>,
}

/// What is reviewed. CI says it, unless it is said here.
#[derive(Args, Clone, Debug, Default)]
pub struct Review {
    /// Number of the pull request or merge request [default: what CI says]
    #[arg(long, value_name = "NUMBER", env = "INFRA_PULL_REQUEST")]
    pub pull_request: Option<u64>,
    /// The commit, in full [default: what CI says]
    #[arg(long, value_name = "SHA", env = "INFRA_COMMIT")]
    pub commit: Option<String>,
}
