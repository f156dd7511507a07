//! What can be typed. The doc comments here are the help.

use std::{collections::BTreeSet, ffi::OsString, path::PathBuf};

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::model::duration::Duration;

/// Reconciles one environment with its YAML: Postgres clusters, what is inside them, and who may use it.
///
/// There is no state file: every plan reads the servers themselves.
#[derive(Debug, Parser)]
#[command(name = "infra", version, propagate_version = true, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 error; 2 changes present (with --detailed-exitcode); 3 refused by a guard;
4 stale plan or digest; 5 locked by another run; 6 apply incomplete; 129, 130, 143 interrupted.";

#[derive(Args, Debug)]
pub struct Global {
    /// The environment: a folder of `environments/`
    #[arg(short, long, global = true, env = "INFRA_ENV", value_name = "NAME")]
    pub env: Option<String>,
    /// Work as if started in this folder
    #[arg(short = 'C', long, global = true, env = "INFRA_CHDIR", value_name = "DIR")]
    pub chdir: Option<PathBuf>,
    /// Never use colour
    #[arg(long, global = true)]
    pub no_color: bool,
    /// No progress, only results and errors
    #[arg(short, long, global = true)]
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
    /// Print the merged configuration, each value with the place it comes from
    Config(Config),
    /// Show what would change; reads only
    Plan(Plan),
    /// Make the changes, after showing them and asking
    Apply(Apply),
    /// Remove everything that the environment has made
    Destroy(Destroy),
    /// Show a saved plan, or what exists
    Show(Show),
    /// Give the mark of this environment to what exists without one
    Import(Import),
    /// Try every login on every database, and compare with what is declared
    Verify(Verify),
    /// Print the JSON Schema of the YAML, or of a plan
    Schema(Schema),
    /// Print a completion script
    Completion(Completion),
    /// Print the version
    Version(Version),
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
    #[arg(long)]
    pub json: bool,
}

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
    /// Print only which objects change
    #[arg(long)]
    pub summary: bool,
    /// Exit with 2 when there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
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

#[derive(Args, Debug)]
pub struct Show {
    /// A plan saved by `infra plan --out FILE`; without it, what exists
    #[arg(value_name = "PLANFILE")]
    pub plan_file: Option<PathBuf>,
    #[arg(long)]
    pub json: bool,
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

#[derive(Args, Debug)]
pub struct Import {
    /// What to adopt, such as `aurora_cluster.main`; may be repeated
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub adopt: Vec<String>,
    /// How long to wait for another run to end
    #[arg(long, value_name = "DURATION", env = "INFRA_LOCK_TIMEOUT", default_value = "0s")]
    pub lock_timeout: Duration,
}

#[derive(Args, Debug)]
pub struct Verify {
    #[arg(long)]
    pub json: bool,
    /// Print every trial, not only a summary and the differences
    #[arg(long)]
    pub all: bool,
}

#[derive(Args, Debug)]
pub struct Schema {
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
    pub shell: Shell,
}

#[derive(Args, Debug)]
pub struct Version {
    #[arg(long)]
    pub json: bool,
}

/// Parses what was typed, Terraform's single dashes (`-auto-approve`, `-out=p`) included.
///
/// # Errors
/// As clap has them; help and version are among them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(normalise(arguments))
}

/// Turns `-name` and `-name=value` into `--name` where a long flag has that name. Left alone, clap would read
/// `-exclude=x` as `-e xclude=x`: another environment.
fn normalise(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let longs = long_flags();
    let mut literal = false;
    let one = |argument: OsString| {
        let Some(text) = argument.to_str() else { return argument };
        literal |= text == "--";
        let name = text.strip_prefix('-').filter(|rest| !rest.starts_with('-') && rest.len() > 1);
        let known = name.and_then(|name| name.split('=').next()).is_some_and(|name| longs.contains(name));
        if known && !literal { format!("-{text}").into() } else { argument }
    };
    arguments.into_iter().map(one).collect()
}

fn long_flags() -> BTreeSet<String> {
    let command = Cli::command();
    let all = std::iter::once(&command).chain(command.get_subcommands());
    let flags = all.flat_map(|command| command.get_arguments().filter_map(|argument| argument.get_long()));
    flags.chain(["help", "version"]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(arguments: &str) -> String {
        let typed = arguments.split(' ').map(OsString::from);
        normalise(typed).into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn terraform_fingers() {
        for (typed, meant) in [
            (
                "infra plan -env=test -detailed-exitcode -out=p",
                "infra plan --env=test --detailed-exitcode --out=p",
            ),
            ("infra apply -auto-approve -e test", "infra apply --auto-approve -e test"),
            ("infra plan -exclude=a.b -target c.d", "infra plan --exclude=a.b --target c.d"),
            ("infra plan -o p -C d -v -vv", "infra plan -o p -C d -v -vv"),
            ("infra -help", "infra --help"),
            ("infra -chdir=x plan", "infra --chdir=x plan"),
            ("infra apply -- -out", "infra apply -- -out"),
        ] {
            assert_eq!(normalised(typed), meant);
        }
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
