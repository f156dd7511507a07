//! What an apply did: also, and above all, when it did not do everything.

use std::error::Error;

use serde::{Deserialize, Serialize};

use super::{
    count, escape,
    paint::{Manner, Page, Sign},
};
use crate::{
    engine::{Action, Outcome, Plan, Summary},
    model::Address,
};

/// The account of an apply, in the order of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub added: usize,
    pub changed: usize,
    pub destroyed: usize,
    pub applied: Vec<Address>,
    pub failed: Vec<Failed>,
    pub skipped: Vec<Skipped>,
    /// The run was interrupted first.
    pub not_attempted: Vec<Address>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub address: Address,
    /// The error, then what caused it.
    pub error: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub address: Address,
    /// What it waited for, and which did not end well.
    pub because: Address,
}

impl Account {
    pub fn of<R>(plan: &Plan<R>, summary: &Summary) -> Self {
        let mut account = Self::default();
        for step in &plan.steps {
            let address = step.address.clone();
            match summary.outcomes.get(&step.address) {
                None => {}
                Some(Outcome::Done) => {
                    let (added, changed, destroyed) = match step.action {
                        Action::Create { .. } => (1, 0, 0),
                        Action::Update { .. } => (0, 1, 0),
                        Action::Replace { .. } => (1, 0, 1),
                        Action::Delete { .. } => (0, 0, 1),
                        Action::Keep | Action::Hold { .. } => (0, 0, 0),
                    };
                    account.added += added;
                    account.changed += changed;
                    account.destroyed += destroyed;
                    account.applied.push(address);
                }
                Some(Outcome::Failed(error)) => {
                    account.failed.push(Failed { address, error: chain(error.as_ref()) });
                }
                Some(Outcome::Skipped { because }) => {
                    account.skipped.push(Skipped { address, because: because.clone() });
                }
                Some(Outcome::NotAttempted) => account.not_attempted.push(address),
            }
        }
        account
    }

    /// Everything that was planned is done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty() && self.not_attempted.is_empty()
    }

    /// For people, ending in a line break.
    pub fn text(&self, colour: bool) -> String {
        let mut page = Page::new(if colour { Manner::Colour } else { Manner::Plain });
        let resources = format!(
            "Resources: {} added, {} changed, {} destroyed.",
            self.added, self.changed, self.destroyed
        );
        if self.is_complete() {
            page.bare(&page.bold_green(&format!("Apply complete! {resources}")));
            return page.finish();
        }
        let waiting = self.skipped.len() + self.not_attempted.len();
        let rest = format!("Failed: {}. Not attempted: {waiting}.", self.failed.len());
        page.bare(&page.bold_red(&format!("Apply incomplete! {resources} {rest}")));
        if !self.failed.is_empty() {
            page.bare("");
            page.bare("Failed:");
        }
        for failed in &self.failed {
            let mut chain = failed.error.iter().map(|text| escape::visible(text));
            let first = chain.next().unwrap_or_default();
            let address = page.bold(&escape::visible(failed.address.as_str()));
            page.line(Sign::None, 0, &format!("{address}: {first}"));
            for cause in chain {
                page.line(Sign::None, 4, &format!("caused by: {cause}"));
            }
        }
        if waiting > 0 {
            page.bare("");
            page.bare("Not attempted:");
        }
        for Skipped { address, because } in &self.skipped {
            let (address, because) = (escape::visible(address.as_str()), escape::visible(because.as_str()));
            page.line(Sign::None, 0, &format!("{address} (because of {because})"));
        }
        for address in &self.not_attempted {
            page.line(Sign::None, 0, &format!("{} (interrupted)", escape::visible(address.as_str())));
        }
        page.bare("");
        let done = if self.applied.is_empty() {
            "Nothing was changed.".into()
        } else {
            format!("{} done.", count(self.applied.len(), "change"))
        };
        page.bare(&format!("{done} Running apply again continues from here."));
        page.finish()
    }
}

fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        texts.push(cause.to_string());
        source = cause.source();
    }
    texts
}
