//! What CI says of a run in its variables, and the files in which it wants to be told.

use std::{env, fs, io::Write as _, path::PathBuf};

use serde_json::Value;

use crate::{
    cli::Review,
    model::secret::Secret,
    providers::forge::{Forge, ForgeError, GitHub, GitLab},
    report::comment::{Content, Limit, Origin, Run, summary},
    ui::{Failure, safe::masked},
};

/// GitHub drops the whole summary of a step if it is longer than 1 MiB.
const SUMMARY: usize = 1_000_000;
/// Less room than this is none.
const LITTLE: usize = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    GitHub,
    GitLab,
}

/// What is known of this run.
#[derive(Debug)]
pub(super) struct Ci {
    kind: Option<Kind>,
    /// What GitHub says has happened.
    event: Value,
}

pub(super) fn of(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

impl Ci {
    pub(super) fn read() -> Self {
        let kind = if of("GITLAB_CI").is_some() {
            Some(Kind::GitLab)
        } else if of("GITHUB_ACTIONS").is_some() || of("GITHUB_REPOSITORY").is_some() {
            Some(Kind::GitHub)
        } else {
            None
        };
        let event = of("GITHUB_EVENT_PATH").and_then(|path| fs::read_to_string(path).ok());
        let event = event.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { kind, event }
    }

    pub(super) fn limit(&self) -> Limit {
        if self.kind == Some(Kind::GitLab) { Limit::GITLAB } else { Limit::GITHUB }
    }

    /// The pull request that this run is about.
    pub(super) fn number(&self, review: &Review) -> Option<u64> {
        let event = || {
            let (pull, issue) = (&self.event["pull_request"], &self.event["issue"]);
            let of_run = self.event["workflow_run"]["pull_requests"].as_array();
            let of_run = of_run.filter(|all| all.len() == 1).map(|all| &all[0]["number"]);
            let of_issue = Some(&issue["number"]).filter(|_| issue["pull_request"].is_object());
            pull["number"].as_u64().or(of_issue?.as_u64()).or(of_run?.as_u64())
        };
        let by_ref = || of("GITHUB_REF")?.strip_prefix("refs/pull/")?.split('/').next()?.parse().ok();
        review.pull_request.or_else(|| match self.kind? {
            Kind::GitHub => event().or_else(by_ref),
            Kind::GitLab => of("CI_MERGE_REQUEST_IID")?.parse().ok(),
        })
    }

    /// The commit that people push. On a pull request CI works on another, which merges it.
    pub(super) fn commit(&self, review: &Review) -> Option<String> {
        let told = |value: &Value| value.as_str().map(str::to_owned);
        review.commit.clone().or_else(|| match self.kind? {
            Kind::GitHub => told(&self.event["pull_request"]["head"]["sha"])
                .or_else(|| told(&self.event["workflow_run"]["head_sha"]))
                // A comment on a pull request says nothing of its commits.
                .or_else(|| of("GITHUB_SHA").filter(|_| !self.event["issue"].is_object())),
            Kind::GitLab => of("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA").or_else(|| of("CI_COMMIT_SHA")),
        })
    }

    pub(super) fn origin(&self, review: &Review) -> Origin {
        let number = |name: &str| of(name).and_then(|text| text.parse().ok());
        let (run, link) = match self.kind {
            Some(Kind::GitHub) => {
                let id = number("GITHUB_RUN_ID");
                let run = id.map(|id| Run { id, attempt: number("GITHUB_RUN_ATTEMPT").unwrap_or(1) });
                let name = of("GITHUB_RUN_NUMBER").or_else(|| id.map(|id| id.to_string()));
                let link = (|| {
                    let (server, repository) = (of("GITHUB_SERVER_URL")?, of("GITHUB_REPOSITORY")?);
                    Some((format!("run {}", name?), format!("{server}/{repository}/actions/runs/{}", id?)))
                })();
                (run, link)
            }
            Some(Kind::GitLab) => {
                // A job that is tried again has a greater number.
                let run =
                    number("CI_PIPELINE_ID").map(|id| Run { id, attempt: number("CI_JOB_ID").unwrap_or(1) });
                let job = of("CI_JOB_ID").map(|id| format!("job {id}"));
                (run, job.zip(of("CI_JOB_URL")))
            }
            None => (None, None),
        };
        Origin { head: self.commit(review), run, link, read_at: None }
    }

    pub(super) fn forge(&self) -> Result<Forge, Failure> {
        let failed = |error: ForgeError| {
            let failure = Failure::of(&error);
            error.hint().into_iter().fold(failure, Failure::hint)
        };
        let token = |names: &[&'static str]| {
            names.iter().find_map(|name| of(name)).map(Secret::new).ok_or(ForgeError::NoToken(names[0]))
        };
        match self.kind {
            Some(Kind::GitHub) => {
                let api = of("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".into());
                let repository = of("GITHUB_REPOSITORY").ok_or_else(|| Failure::new("GITHUB_REPOSITORY is not set"))?;
                let token = token(&["GITHUB_TOKEN", "GH_TOKEN"]).map_err(failed)?;
                GitHub::new(&api, &repository, &token).map(Forge::GitHub).map_err(failed)
            }
            Some(Kind::GitLab) => {
                let api = of("CI_API_V4_URL").unwrap_or_else(|| "https://gitlab.com/api/v4".into());
                let project = of("CI_PROJECT_ID").ok_or_else(|| Failure::new("CI_PROJECT_ID is not set"))?;
                let token = token(&["GITLAB_TOKEN"]).map_err(failed)?;
                GitLab::new(&api, &project, token).map(Forge::GitLab).map_err(failed)
            }
            None => Err(Failure::new("this is neither a job of GitHub Actions nor one of GitLab CI")
                .hint("elsewhere: set GITHUB_REPOSITORY and GITHUB_TOKEN, and pass --pull-request; or print it with --stdout")),
        }
    }
}

/// Tells GitHub Actions what later steps and people want to know, in the files it has named for that.
pub(super) fn tell(contents: &[Content<'_>], origin: &Origin) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (name, text) in [("GITHUB_OUTPUT", outputs(contents)), ("GITHUB_STEP_SUMMARY", String::new())] {
        let Some(file) = of(name).map(PathBuf::from) else { continue };
        let text = if name == "GITHUB_OUTPUT" {
            text
        } else {
            let there =
                fs::metadata(&file).map_or(0, |there| usize::try_from(there.len()).unwrap_or(SUMMARY));
            let room = SUMMARY.saturating_sub(there);
            if room < LITTLE {
                failures.push(Failure::new(
                    "the summary of this step is full already; the plan was left out of it",
                ));
                continue;
            }
            masked(&summary(contents, origin, Limit::bytes(room))).into_owned()
        };
        let written = fs::OpenOptions::new().create(true).append(true).open(&file);
        if let Err(error) = written.and_then(|mut file| file.write_all(text.as_bytes())) {
            failures.push(
                Failure::of(&error).named(&format!("cannot write {}, which {name} names", file.display())),
            );
        }
    }
    failures
}

/// Nothing but numbers, words of ours and a digest: no value can hold a line break.
fn outputs(contents: &[Content<'_>]) -> String {
    let plans: Vec<_> = (contents.iter())
        .filter_map(|content| if let Content::Plan(view) = content { Some(*view) } else { None })
        .collect();
    let sum = |of: &dyn Fn(&crate::report::Counts) -> usize| {
        plans.iter().map(|view| of(&view.counts)).sum::<usize>()
    };
    let (changes, destroyed) = (sum(&|counts| counts.changes()), sum(&|counts| counts.destroyed()));
    let digest: Option<crate::engine::Digest> = match plans[..] {
        [view] => view.digest.to_string().parse().ok(),
        _ => None,
    };
    let mut lines = vec![
        format!("planned={}", plans.len() == contents.len()),
        format!("has_changes={}", changes > 0),
        format!("has_destroy={}", destroyed > 0),
        format!("add={}", sum(&|counts| counts.added())),
        format!("change={}", sum(&|counts| counts.update)),
        format!("destroy={destroyed}"),
        format!("replace={}", sum(&|counts| counts.replace)),
        format!("held={}", sum(&|counts| counts.hold)),
        format!("refused={}", plans.iter().any(|view| !view.guards.is_empty())),
    ];
    lines.extend(digest.map(|digest| format!("digest={digest}")));
    lines.join("\n") + "\n"
}

/// What GitLab's widget for merge requests reads; a replacement counts on both sides, as it does in its own recipe.
pub(super) fn gitlab_report(contents: &[Content<'_>]) -> String {
    let (mut create, mut update, mut delete) = (0, 0, 0);
    for content in contents {
        if let Content::Plan(view) = content {
            create += view.counts.added();
            update += view.counts.update;
            delete += view.counts.destroyed();
        }
    }
    format!("{}\n", serde_json::json!({"create": create, "update": update, "delete": delete}))
}
