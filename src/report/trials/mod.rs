//! What `infra verify` has found: a table of who may do what, every difference, and a count.

mod table;

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    count, escape,
    paint::{Manner, Page},
};
use crate::model::access::{Method, Observed, Operation};

/// One login, one operation, one place.
#[derive(Clone, Debug)]
pub struct Trial {
    pub cluster: String,
    pub login: String,
    pub database: String,
    pub schema: Option<String>,
    /// An object that exists, and how many are like it. None: the place itself, or an object made for the trial.
    pub object: Option<(String, u64)>,
    pub operation: Operation,
    pub method: Method,
    pub expected: bool,
    pub observed: Observed,
}

/// All that was found in an environment.
#[derive(Clone, Debug, Default)]
pub struct Trials {
    pub environment: String,
    pub trials: Vec<Trial>,
    /// What could not be tried at all, and why.
    pub not_tried: Vec<NotTried>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NotTried {
    /// `main/orders`, or a login.
    pub what: String,
    pub why: String,
}

#[derive(Serialize)]
struct Row<'a> {
    cluster: &'a str,
    login: &'a str,
    database: &'a str,
    schema: Option<&'a str>,
    object: Option<&'a str>,
    /// Objects with the same kind, owner and ACL, for which this one stands too.
    #[serde(skip_serializing_if = "is_zero")]
    others_alike: u64,
    operation: Operation,
    expected: &'static str,
    observed: &'static str,
    method: Method,
    as_expected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Document<'a> {
    format_version: &'static str,
    environment: &'a str,
    summary: Summary,
    differences: Vec<Row<'a>>,
    not_tried: &'a [NotTried],
    trials: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Summary {
    as_expected: usize,
    differences: usize,
    not_tried: usize,
    logins: usize,
    databases: usize,
    operations: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn word(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "denied" }
}

impl Trial {
    fn as_expected(&self) -> bool {
        self.observed == if self.expected { Observed::Allowed } else { Observed::Denied }
    }

    fn observed(&self) -> &'static str {
        match self.observed {
            Observed::Allowed => "allowed",
            Observed::Denied => "denied",
            Observed::Unknown(_) => "unknown",
        }
    }

    fn row(&self) -> Row<'_> {
        Row {
            cluster: &self.cluster,
            login: &self.login,
            database: &self.database,
            schema: self.schema.as_deref(),
            object: self.object.as_ref().map(|(name, _)| name.as_str()),
            others_alike: self.object.as_ref().map_or(0, |(_, others)| *others),
            operation: self.operation,
            expected: word(self.expected),
            observed: self.observed(),
            method: self.method,
            as_expected: self.as_expected(),
            error: match &self.observed {
                Observed::Unknown(why) => Some(why),
                Observed::Allowed | Observed::Denied => None,
            },
        }
    }

    /// `billing.app.invoices (and 3 like it)`.
    fn place(&self, several: bool) -> String {
        let cluster = if several { format!("{}/", self.cluster) } else { String::new() };
        let schema = self.schema.as_ref().map(|name| format!(".{name}")).unwrap_or_default();
        let object = match &self.object {
            None => String::new(),
            Some((name, 0)) => format!(".{name}"),
            Some((name, others)) => format!(".{name} (and {others} like it)"),
        };
        escape::visible(&format!("{cluster}{}{schema}{object}", self.database))
    }
}

impl Trials {
    pub fn all_as_expected(&self) -> bool {
        self.not_tried.is_empty() && self.trials.iter().all(Trial::as_expected)
    }

    fn differences(&self) -> impl Iterator<Item = &Trial> {
        self.trials.iter().filter(|trial| !trial.as_expected())
    }

    fn has_several_clusters(&self) -> bool {
        self.trials.iter().any(|trial| trial.cluster != self.trials[0].cluster)
    }

    /// One document.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        let (logins, databases, operations) = self.counts();
        let differences: Vec<Row<'_>> = self.differences().map(Trial::row).collect();
        let document = Document {
            format_version: "1.0",
            environment: &self.environment,
            summary: Summary {
                as_expected: self.trials.len() - differences.len(),
                differences: differences.len(),
                not_tried: self.not_tried.len(),
                logins,
                databases,
                operations,
            },
            differences,
            not_tried: &self.not_tried,
            trials: self.trials.iter().map(Trial::row).collect(),
        };
        Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
    }

    fn counts(&self) -> (usize, usize, usize) {
        let logins: BTreeSet<_> = self.trials.iter().map(|t| (&t.cluster, &t.login)).collect();
        let databases: BTreeSet<_> = self.trials.iter().map(|t| (&t.cluster, &t.database)).collect();
        let operations: BTreeSet<_> = self.trials.iter().map(|t| t.operation).collect();
        (logins.len(), databases.len(), operations.len())
    }

    /// For people. `all`: every trial too.
    pub fn text(&self, all: bool, colour: bool) -> String {
        let mut page = Page::new(if colour { Manner::Colour } else { Manner::Plain });
        self.table(&mut page);
        let several = self.has_several_clusters();
        if all {
            page.bare("");
            for trial in &self.trials {
                let sign = if trial.as_expected() { "ok        " } else { "DIFFERENCE" };
                let (login, place) = (escape::visible(&trial.login), trial.place(several));
                let (operation, observed, method) = (trial.operation, trial.observed(), trial.method);
                page.bare(&escape::line(&format!(
                    "{sign} {login} on {place}: {operation} is {observed} ({method})"
                )));
            }
        }
        if self.differences().next().is_some() {
            page.bare("");
        }
        for (head, operations, tail) in self.told(several) {
            let verb = if operations.len() == 1 { "is" } else { "are" };
            let mark = page.bold_red("DIFFERENCE");
            page.bare(&format!("{mark} {}: {} {verb} {tail}", escape::line(&head), operations.join(", ")));
        }
        for NotTried { what, why } in &self.not_tried {
            let (what, why) = (escape::visible(what), escape::visible(why));
            let mark = page.bold_red("NOT TRIED");
            page.bare(&format!("{mark} {what}: {why}"));
        }
        page.bare("");
        let summary = self.summary();
        page.bare(&if self.all_as_expected() { page.bold_green(&summary) } else { page.bold_red(&summary) });
        page.finish()
    }

    /// Differences that are told together: one login, one place, the same outcome.
    fn told(&self, several: bool) -> Vec<(String, Vec<&'static str>, String)> {
        let mut told: Vec<(String, Vec<&'static str>, String)> = Vec::new();
        for trial in self.differences() {
            let head = format!("{} on {}", escape::visible(&trial.login), trial.place(several));
            let expected = word(trial.expected);
            let tail = match &trial.observed {
                Observed::Unknown(why) => format!("unknown ({}), expected {expected}", escape::visible(why)),
                _ => format!("{}, expected {expected}", trial.observed()),
            };
            match told.iter_mut().find(|(h, _, t)| *h == head && *t == tail) {
                Some((_, operations, _)) => operations.push(trial.operation.name()),
                None => told.push((head, vec![trial.operation.name()], tail)),
            }
        }
        told
    }

    fn summary(&self) -> String {
        let (logins, databases, operations) = self.counts();
        let differences = self.differences().count();
        let good = self.trials.len() - differences;
        let verified = if self.all_as_expected() { "Verified" } else { "Not verified" };
        let not_tried = match self.not_tried.len() {
            0 => String::new(),
            number => format!(", {number} not tried"),
        };
        format!(
            "{verified}: {} as expected, {}{not_tried} ({} x {} x {}).",
            thousands(good, "trial"),
            count(differences, "difference"),
            count(logins, "login"),
            count(databases, "database"),
            count(operations, "operation"),
        )
    }
}

/// `1,204 trials`.
fn thousands(number: usize, noun: &str) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if number == 1 { format!("{shown} {noun}") } else { format!("{shown} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(
        login: &str,
        schema: Option<&str>,
        operation: Operation,
        expected: bool,
        observed: bool,
    ) -> Trial {
        Trial {
            cluster: "main".into(),
            login: login.into(),
            database: "billing".into(),
            schema: schema.map(Into::into),
            object: None,
            operation,
            method: Method::SetRole,
            expected,
            observed: if observed { Observed::Allowed } else { Observed::Denied },
        }
    }

    #[test]
    fn told_to_people() {
        use Operation as O;
        let mut trials = Trials {
            environment: "test".into(),
            trials: vec![
                trial("svc_billing_reader", None, O::Connect, true, true),
                trial("svc_billing_reader", Some("app"), O::Select, true, true),
                trial("svc_orders_app", None, O::Connect, false, false),
            ],
            not_tried: Vec::new(),
        };
        insta::assert_snapshot!(trials.text(false, false), @r"
        login               billing
        svc_billing_reader  reads
        svc_orders_app      -
        owns: everything; writes, reads: data; temp: temporary tables only; connect: nothing else; -: nothing; !: differs

        Verified: 3 trials as expected, 0 differences (2 logins x 1 database x 2 operations).
        ");
        trials.trials.push(trial("svc_orders_app", Some("app"), O::Insert, false, true));
        trials.trials.push(trial("svc_orders_app", Some("app"), O::Update, false, true));
        let mut hostile = trial("svc_orders_app", Some("app"), O::Select, true, false);
        hostile.object = Some(("t\u{1b}[2J".into(), 3));
        trials.trials.push(hostile);
        trials.not_tried.push(NotTried { what: "main/orders".into(), why: "it is not running".into() });
        insta::assert_snapshot!(trials.text(false, false), @r"
        login               billing
        svc_billing_reader  reads
        svc_orders_app      writes !3
        owns: everything; writes, reads: data; temp: temporary tables only; connect: nothing else; -: nothing; !: differs

        DIFFERENCE svc_orders_app on billing.app: insert, update are allowed, expected denied
        DIFFERENCE svc_orders_app on billing.app.t\u001b[2J (and 3 like it): select is denied, expected allowed
        NOT TRIED main/orders: it is not running

        Not verified: 3 trials as expected, 3 differences, 1 not tried (2 logins x 1 database x 4 operations).
        ");
        let json: serde_json::Value = serde_json::from_str(&trials.json().unwrap()).unwrap();
        assert_eq!(json["summary"]["differences"], 3);
        assert_eq!(json["differences"][0]["operation"], "insert");
        assert_eq!(thousands(1_234_567, "trial"), "1,234,567 trials");
    }
}
