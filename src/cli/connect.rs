//! `infra connect`.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;

/// What the command is given, and by what name.
const AFTER: &str = "\
Whatever runs finds PGHOST, PGPORT, PGUSER, PGDATABASE, PGSSLMODE, PGSSLROOTCERT and PGPASSWORD (a token, good for 15
minutes) in its environment, with --mongo MONGODB_URI. Nothing secret stands on a command line or in a file. The exit code
is the command's.";

#[derive(Args, Debug)]
#[command(after_help = AFTER)]
pub struct Connect {
    /// The service whose database it is
    #[arg(value_name = "SERVICE", required_unless_present = "mongo", conflicts_with = "mongo")]
    pub service: Option<String>,
    /// A replica set instead, by its name in the YAML
    #[arg(long, value_name = "NAME")]
    pub mongo: Option<String>,
    /// To the readers, not to the writer
    #[arg(long, conflicts_with = "mongo")]
    pub reader: bool,
    /// As this person of the YAML [default: whoever the AWS credentials belong to; locally, who is logged in here]
    #[arg(long = "as", value_name = "PERSON")]
    pub person: Option<String>,
    /// Print the URL, without what is secret, instead of starting anything
    #[arg(long, conflicts_with = "command")]
    pub print: bool,
    /// Print it with the token in it: a password in plain sight, for minutes
    #[arg(long, visible_alias = "with-password", requires = "print")]
    pub with_token: bool,
    /// Where the cluster is, for who may not ask RDS: `infra output` tells
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "mongo")]
    pub endpoint: Option<String>,
    /// With --mongo, where certificates are asked for: the file that has yours and its key (PEM)
    #[arg(long, value_name = "FILE", requires = "mongo")]
    pub certificate_key_file: Option<PathBuf>,
    /// Start this instead of psql or mongosh
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
