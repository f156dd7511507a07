//! The plan document: what `plan -o` saves, `plan --json` prints and `show` reads.

use super::view::{FORMAT_VERSION, PlanView};

/// A file that is not a plan this version can read.
#[derive(Debug, thiserror::Error)]
pub enum BadPlan {
    #[error("this is not a plan that infra saved")]
    Json(#[source] serde_json::Error),
    #[error("the plan has format {found}; this infra reads format {FORMAT_VERSION}")]
    Format { found: String },
}

/// One JSON document, ending in a line break.
pub fn render(view: &PlanView) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(view)? + "\n")
}

/// Reads what [`render`] wrote. A newer minor format may have more fields, which are ignored.
pub fn parse(text: &str) -> Result<PlanView, BadPlan> {
    #[derive(serde::Deserialize)]
    struct Format {
        format_version: String,
    }
    let format: Format = serde_json::from_str(text).map_err(BadPlan::Json)?;
    let major = |version: &str| version.split('.').next().map(ToString::to_string);
    if major(&format.format_version) != major(FORMAT_VERSION) {
        return Err(BadPlan::Format { found: format.format_version });
    }
    serde_json::from_str(text).map_err(BadPlan::Json)
}
