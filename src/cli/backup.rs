//! `infra backup`.

use clap::{Args, Subcommand};

#[derive(Args, Debug)]
pub struct Backup {
    #[command(subcommand)]
    pub what: BackupCommand,
}

#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// List what was taken, why it is kept, and what is overdue; reads only
    List(BackupList),
    /// Take what is due, and delete what the policy no longer keeps: for cron
    Run(BackupRun),
}

#[derive(Args, Debug)]
pub struct BackupList {
    /// Only this replica set of the YAML
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Print the list as JSON
    #[arg(long)]
    pub json: bool,
}

/// Those of a snapshot, as far as they can happen here.
const BACKUP_EXIT_CODES: &str = "\
Says nothing when nothing is due. Takes the lease of each replica set, not the lock of the environment.

Exit codes: 0 all that was due was taken, and all that was to go is gone; 1 error; 7 it is not certain that a member is
unlocked: page someone; 10 no member may be locked; 11 the lock was not obtained in time; 12 the snapshot command failed;
13 max_lock passed; 14 consistency lost; 15 somebody else's lock or run; 129, 130, 143 interrupted.";

#[derive(Args, Debug)]
#[command(after_help = BACKUP_EXIT_CODES)]
pub struct BackupRun {
    /// Only this replica set of the YAML
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Take a snapshot although none is due
    #[arg(long)]
    pub force: bool,
    /// Delete what `keep` no longer keeps, even if that is most of all snapshots
    #[arg(long)]
    pub allow_mass_delete: bool,
    /// Print the manifest of each snapshot as one line of JSON, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}
