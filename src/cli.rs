//! What can be typed. The doc comments here are the help.

mod access;
mod apply;
mod backup;
mod comment;
mod connect;
mod doctor;
mod fmt;
mod graph;
mod history;
mod import;
mod line;
mod man;
mod output;
mod plan;
mod snapshot;
mod span;

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, builder::FalseyValueParser};
use clap_complete::Shell;

pub use access::{Access, AccessFormat};
pub use apply::{Apply, Destroy, How};
pub use backup::{Backup, BackupCommand, BackupList, BackupRun};
pub use comment::Comment;
pub use connect::Connect;
pub use doctor::Doctor;
pub use fmt::Fmt;
pub use graph::{Graph, Language};
pub use history::{History, HistoryCommand, HistoryShow};
pub use import::Import;
pub use man::Man;
pub use output::{Output, OutputFormat};
pub use plan::{Plan, Review, Shape};
pub use snapshot::Snapshot;

/// Reconciles one environment with its YAML: Postgres clusters, what is inside them, and who may use it.
///
/// There is no state file: every plan reads the servers themselves.
#[derive(Debug, Parser)]
#[command(
    name = "infra",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    args_override_self = true
)]
#[command(after_help = EXIT_CODES, after_long_help = VARIABLES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 error; 2 changes present (with --detailed-exitcode); 3 refused by a guard;
4 stale plan or digest; 5 locked by another run; 6 apply incomplete; 129, 130, 143 interrupted.
Those of a snapshot: infra snapshot --help. Variables of the environment: infra --help";

const VARIABLES: &str = "\
Exit codes: 0 done; 1 error; 2 changes present (with --detailed-exitcode); 3 refused by a guard;
4 stale plan or digest; 5 locked by another run; 6 apply incomplete; 129, 130, 143 interrupted.
Those of a snapshot: infra snapshot --help

Variables: what a flag can say, the variable in brackets behind it can say too; a flag counts more. Besides:
  INFRA_CLI_ARGS        more arguments, for every command; INFRA_CLI_ARGS_plan: for `infra plan`, and so on
  INFRA_MASK            regular expressions, one a line: what they match is shown as ***, in output, comments and summaries
  INFRA_IN_AUTOMATION   no hints on what to type next; so too where CI is set";

#[derive(Args, Debug)]
pub struct Global {
    /// The environment: a folder of `environments/`
    #[arg(short, long, global = true, env = "INFRA_ENV", value_name = "NAME")]
    pub env: Option<String>,
    /// Work as if started in this folder
    #[arg(short = 'C', long, global = true, env = "INFRA_CHDIR", value_name = "DIR")]
    pub chdir: Option<PathBuf>,
    /// Never use colour
    #[arg(long, global = true, env = "INFRA_NO_COLOR", value_parser = FalseyValueParser::new())]
    pub no_color: bool,
    /// No progress, only results and errors
    #[arg(short, long, global = true, env = "INFRA_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,
    /// Also show the SQL and the calls that each change makes
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Never ask; fail instead
    #[arg(long, global = true)]
    pub no_input: bool,
    /// `false` is the same as `--no-input`
    #[arg(long, global = true, env = "INFRA_INPUT", hide = true, value_name = "BOOL")]
    pub input: Option<String>,
}

impl Global {
    /// Whether a person may be asked.
    pub fn may_ask(&self) -> bool {
        !self.no_input && !self.input.as_deref().is_some_and(|text| text == "0" || text == "false")
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the YAML of an environment, or of all; nothing else is read
    Validate(Validate),
    /// Lay the YAML out anew; comments and the order of keys stay
    Fmt(Fmt),
    /// Print the merged configuration, each value with the place it comes from
    Config(Config),
    /// Show what would change; reads only
    Plan(Plan),
    /// Make the changes, after showing them and asking
    Apply(Apply),
    /// Remove everything that the environment has made
    Destroy(Destroy),
    /// Put saved plans on a pull request as a comment, or edit the one that is there; needs no cloud credentials
    Comment(Comment),
    /// Show a saved plan, or what exists
    Show(Show),
    /// Print the YAML for what exists and is not declared; with `--adopt`, give our mark to what is
    Import(Import),
    /// List what was applied, by whom, and how it ended; reads only
    History(History),
    /// Draw the architecture: services, databases, clusters, who may reach them; from the YAML alone
    Graph(Graph),
    /// Try every login on every database, and compare with what is declared
    Verify(Verify),
    /// Print what an application needs to know: endpoints, database, users, role; no secret
    Output(Output),
    /// Open a service's database, or run a command on it, as yourself
    Connect(Connect),
    /// Show who can do what where, by the YAML or on the servers, and why
    Access(Access),
    /// Check credentials, rights, ways and clocks, and say how to mend what is not well; reads only
    Doctor(Doctor),
    /// Lock one secondary of a MongoDB replica set, snapshot its disks, and unlock it whatever happens
    Snapshot(Box<Snapshot>),
    /// Snapshots of replica sets by policy: list them, or take and delete what is due
    Backup(Backup),
    /// Print the JSON Schema of the YAML, or of a plan
    Schema(Schema),
    /// Print a completion script, which knows environments and addresses: `source <(infra completion bash)`
    Completion(Completion),
    /// Print the manual page, or write one for each command
    Man(Man),
    /// Print the version
    Version(Version),
    /// Holds the lock of a snapshot; started by `infra snapshot` alone
    #[command(name = "__guard", hide = true)]
    Guard,
    /// Becomes the snapshot command; started by `infra snapshot` alone
    #[command(name = "__gate", hide = true)]
    Gate {
        #[arg(last = true)]
        command: Vec<OsString>,
    },
    #[command(hide = true)]
    Init,
    #[command(hide = true)]
    Refresh,
    #[command(hide = true)]
    State,
}

#[derive(Args, Debug)]
pub struct Validate {
    /// Print the result as `terraform validate -json` does
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Config {
    /// Print it as JSON, without the places
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Show {
    /// A plan saved by `infra plan --out FILE`; without it, what exists
    #[arg(value_name = "PLANFILE")]
    pub plan_file: Option<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Print it as Markdown
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Write the saved plan as a page for a browser instead: one file that loads nothing
    #[arg(long, value_name = "FILE", requires = "plan_file", conflicts_with_all = ["json", "markdown"])]
    pub html: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Verify {
    /// Print every trial as JSON
    #[arg(long)]
    pub json: bool,
    /// Print every trial, not only a summary and the differences
    #[arg(long)]
    pub all: bool,
}

#[derive(Args, Debug)]
pub struct Schema {
    /// Of which document
    #[arg(value_enum, default_value_t = Document::Environment)]
    pub document: Document,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// The YAML of an environment
    Environment,
    /// What `plan --json` prints and `plan --out` saves
    Plan,
}

#[derive(Args, Debug)]
pub struct Completion {
    /// For which shell
    pub shell: Shell,
}

#[derive(Args, Debug)]
pub struct Version {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// Parses what was typed, Terraform's single dashes (`-auto-approve`, `-out=p`) and `INFRA_CLI_ARGS` included.
///
/// # Errors
/// As clap has them; help and version are among them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line::complete(arguments, |name| std::env::var(name).ok())?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
