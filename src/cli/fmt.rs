//! The arguments of `infra fmt`.

use std::path::PathBuf;

use clap::Args;

/// What is done, and what is not.
const FMT_HELP: &str = "\
Prints the names of files that it lays out anew. Comments and the order of keys stay; what a file says is compared before
and after, and where that is not certain the file is left alone.

Exit codes: 0 done; with --check: nothing to do; 1 error; with --check: something to do.";

#[derive(Args, Debug)]
#[command(after_help = FMT_HELP)]
pub struct Fmt {
    /// Files and folders; `-` takes standard input and prints the result. Default: the environment's folder, or all of them
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only say which files would change, and exit with 1 if there are any
    #[arg(long)]
    pub check: bool,
    /// Print what changes in each file
    #[arg(long)]
    pub diff: bool,
}
