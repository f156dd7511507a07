//! `infra graph`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
pub struct Graph {
    /// Language of the picture
    #[arg(long, value_enum, default_value_t = Language::Mermaid)]
    pub format: Language,
    /// Write it into a file
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Colour what would change: reads the actual state, or takes a saved plan (`--plan=FILE`) and needs no credentials
    #[arg(long, value_name = "PLANFILE", num_args = 0..=1, require_equals = true)]
    pub plan: Option<Option<PathBuf>>,
    /// A node for each service, also where there are many
    #[arg(long)]
    pub each: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// For Markdown: GitHub and GitLab draw it
    Mermaid,
    /// For Graphviz
    Dot,
    /// Drawn, for light and dark
    Svg,
}
