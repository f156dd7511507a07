//! What is kept of an apply: who did what, when, from which commit, and how it ended.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Account, count,
    escape::visible,
    text,
    view::{PlanView, ResourceChange},
};
use crate::{engine::Digest, model::Address, providers::ledger::Holder};

/// Changes when a reader of the older form would misunderstand the newer one.
const FORMAT_VERSION: &str = "1.0";

/// One apply or destroy. It is written before the first step, and again after the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub format_version: String,
    pub infra_version: String,
    pub id: String,
    pub environment: String,
    /// Who had the lease, and where.
    pub by: Holder,
    /// Of the YAML, as git has it; ends in `-dirty` where that is not all.
    pub commit: Option<String>,
    pub digest: Digest,
    pub approval: Approved,
    pub begun_at: Timestamp,
    /// In the order of the plan.
    pub steps: Vec<Step>,
    /// Missing for as long as the run lasts; and for ever, if it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How the changes were approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approved {
    /// Somebody typed it.
    Asked,
    AutoApprove,
    /// By the digest of the plan, typed or out of a saved plan.
    Digest,
    /// By the digest on a pull request, of this number.
    PullRequest(u64),
    /// There was nothing to approve.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub address: Address,
    pub actions: Vec<String>,
    /// The SQL or API calls.
    pub effects: Vec<String>,
    /// Missing where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<StepOutcome>,
    /// The error, then what caused it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error: Vec<String>,
    /// What it waited for, and which did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<Address>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    Done,
    Failed,
    Skipped,
    NotAttempted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub at: Timestamp,
    pub outcome: Outcome,
    pub exit_code: u8,
    pub added: usize,
    pub changed: usize,
    pub destroyed: usize,
    /// What was told at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Complete,
    Incomplete,
    Interrupted,
    /// A member of a replica set may still be locked.
    StillLocked,
}

/// What has become of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Running,
    Complete,
    Incomplete,
    Interrupted,
    StillLocked,
    /// It was killed, or could not write down its end.
    DidNotEnd,
}

impl State {
    pub fn words(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Interrupted => "interrupted",
            Self::StillLocked => "complete but for a MongoDB member that may still be locked",
            Self::DidNotEnd => "did not end",
        }
    }
}

impl Record {
    /// Of a run that is about to begin.
    pub fn begin(
        id: String,
        by: Holder,
        commit: Option<String>,
        approval: Approved,
        view: &PlanView,
    ) -> Self {
        let step = |change: &ResourceChange| Step {
            address: change.address.clone(),
            actions: change.change.actions.clone(),
            effects: change.effects.clone(),
            outcome: None,
            error: Vec::new(),
            because: None,
        };
        let of = |address: &Address| view.resource_changes.iter().find(|change| change.address == *address);
        Self {
            format_version: FORMAT_VERSION.into(),
            infra_version: env!("CARGO_PKG_VERSION").into(),
            id,
            environment: view.environment.clone(),
            by,
            commit,
            digest: view.digest.clone(),
            approval,
            begun_at: Timestamp::now(),
            steps: view.order.iter().filter_map(of).map(step).collect(),
            ended: None,
        }
    }

    pub fn end(&mut self, account: &Account, outcome: Outcome, exit_code: u8, messages: Vec<String>) {
        let Account { added, changed, destroyed, .. } = *account;
        for step in &mut self.steps {
            let failed = account.failed.iter().find(|failed| failed.address == step.address);
            let skipped = account.skipped.iter().find(|skipped| skipped.address == step.address);
            step.outcome = if let Some(failed) = failed {
                step.error.clone_from(&failed.error);
                Some(StepOutcome::Failed)
            } else if let Some(skipped) = skipped {
                step.because = Some(skipped.because.clone());
                Some(StepOutcome::Skipped)
            } else if account.applied.contains(&step.address) {
                Some(StepOutcome::Done)
            } else if account.not_attempted.contains(&step.address) {
                Some(StepOutcome::NotAttempted)
            } else {
                None
            };
        }
        let at = Timestamp::now();
        self.ended = Some(Ended { at, outcome, exit_code, added, changed, destroyed, messages });
    }

    /// `holder`: who has the lease now.
    pub fn state(&self, holder: Option<&Holder>) -> State {
        match self.ended.as_ref().map(|ended| ended.outcome) {
            Some(Outcome::Complete) => State::Complete,
            Some(Outcome::Incomplete) => State::Incomplete,
            Some(Outcome::Interrupted) => State::Interrupted,
            Some(Outcome::StillLocked) => State::StillLocked,
            None if holder == Some(&self.by) => State::Running,
            None => State::DidNotEnd,
        }
    }

    fn outcome(&self, state: State) -> String {
        let Some(ended) = &self.ended else {
            return format!("{} ({} planned)", state.words(), count(self.steps.len(), "change"));
        };
        let Ended { added, changed, destroyed, .. } = ended;
        format!("{}: {added} added, {changed} changed, {destroyed} destroyed", state.words())
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// One line for each run.
pub fn list(runs: &[(Record, State)]) -> String {
    let rows: Vec<[String; 5]> = (runs.iter())
        .map(|(record, state)| {
            let verb = record.by.operation.split(' ').nth(1).unwrap_or_default().to_owned();
            [record.id.clone(), time(record.begun_at), record.by.who.clone(), verb, record.outcome(*state)]
                .map(|cell| visible(&cell))
        })
        .collect();
    let titles = ["ID", "BEGUN (UTC)", "BY", "WHAT", "OUTCOME"].map(str::to_owned);
    let all: Vec<&[String; 5]> = std::iter::once(&titles).chain(&rows).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3), 0];
    let mut page = String::new();
    for row in all {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(page, "{}", cells.join("  ").trim_end());
    }
    page
}

/// All of one run.
pub fn show(record: &Record, state: State) -> String {
    let mut page = format!("{} {}\n\n", visible(&record.by.operation), visible(&record.id));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(page, "  {name:9} {}", visible(value));
    };
    let by = &record.by;
    line("by", &format!("{} on {}, process {}", by.who, by.host, by.pid));
    if let Some(url) = &by.url {
        line("run", url);
    }
    line("commit", record.commit.as_deref().unwrap_or("unknown"));
    line("begun", &format!("{} UTC", time(record.begun_at)));
    if let Some(ended) = &record.ended {
        let took = ended.at.duration_since(record.begun_at).as_secs();
        line("ended", &format!("{} UTC, after {took} s", time(ended.at)));
    }
    line("plan", &format!("sha256:{}", record.digest));
    let approval = match record.approval {
        Approved::Asked => "asked for and given".to_owned(),
        Approved::AutoApprove => "--auto-approve".to_owned(),
        Approved::Digest => "by the digest of the plan".to_owned(),
        Approved::PullRequest(number) => format!("by the digest of the plan on pull request {number}"),
        Approved::Nothing => "nothing to approve".to_owned(),
    };
    line("approval", &approval);
    line("outcome", &record.outcome(state));
    if let Some(ended) = &record.ended {
        line("exit code", &ended.exit_code.to_string());
        for message in &ended.messages {
            line("", message);
        }
    }
    if state == State::DidNotEnd {
        line("", "it was killed, or could not write down its end: any of its changes may have been made");
    }
    for step in &record.steps {
        one(&mut page, step);
    }
    page
}

fn one(page: &mut String, step: &Step) {
    let mark = text::mark(&step.actions);
    let (address, error) = (visible(step.address.as_str()), step.error.first());
    let ending = match step.outcome {
        Some(StepOutcome::Done) => "done".into(),
        Some(StepOutcome::Failed) => {
            format!("failed: {}", visible(error.map(String::as_str).unwrap_or_default()))
        }
        Some(StepOutcome::Skipped) => match &step.because {
            Some(because) => format!("not attempted (because of {})", visible(because.as_str())),
            None => "not attempted".into(),
        },
        Some(StepOutcome::NotAttempted) => "not attempted (interrupted)".into(),
        None => "unknown".into(),
    };
    let _ = writeln!(page, "\n{mark:>3} {address}: {ending}");
    for cause in step.error.iter().skip(1) {
        let _ = writeln!(page, "      caused by: {}", visible(cause));
    }
    for line in step.effects.iter().flat_map(|effect| effect.lines()) {
        let _ = writeln!(page, "    > {}", visible(line));
    }
}
