//! `infra history`.

use clap::{Args, Subcommand};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct History {
    #[command(subcommand)]
    pub what: Option<HistoryCommand>,
    /// How many runs to list, the newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Print the runs as JSON, with their steps
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Show one run: every step, its SQL and calls, and how it ended
    Show(HistoryShow),
}

#[derive(Args, Debug)]
pub struct HistoryShow {
    /// What `infra history` lists, or a part of it that no other run has
    #[arg(value_name = "ID")]
    pub id: String,
    /// Print the record as JSON
    #[arg(long)]
    pub json: bool,
}
