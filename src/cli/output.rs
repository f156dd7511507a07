//! `infra output`.

use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
pub struct Output {
    /// Only this service
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub format: OutputFormat,
    /// As `terraform output -json` prints it; the same as `--format json`
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// As `terraform output` prints it
    Text,
    /// `NAME='value'`, for a shell; with the service's name in front unless only one is asked for
    Env,
    Json,
    Yaml,
    /// For `kubectl apply -f -`: one for each service, in the namespace of its service account
    Configmap,
}
