//! What `infra doctor` has found, in words and as JSON.

use serde_json::{Value, json};

use super::{
    docs::{self, Docs},
    escape, paint,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Ok,
    /// Something will not work, or not for long; but what was asked today can be.
    Warn,
    Fail,
}

/// What a check is about. Its name is that of a heading of `docs/trouble.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Programs,
    Credentials,
    Account,
    Endpoint,
    Clock,
    Rights,
    Quotas,
    Ledger,
    Server,
    Connection,
    Login,
    Mongo,
}

impl Topic {
    pub fn name(self) -> &'static str {
        match self {
            Self::Programs => "programs",
            Self::Credentials => "credentials",
            Self::Account => "account",
            Self::Endpoint => "endpoint",
            Self::Clock => "clock",
            Self::Rights => "rights",
            Self::Quotas => "quotas",
            Self::Ledger => "ledger",
            Self::Server => "server",
            Self::Connection => "connection",
            Self::Login => "login",
            Self::Mongo => "mongodb",
        }
    }

    pub fn docs(self) -> Docs {
        match self {
            Self::Programs => docs::PROGRAMS,
            Self::Credentials => docs::CREDENTIALS,
            Self::Account => docs::ACCOUNT,
            Self::Endpoint => docs::ENDPOINT,
            Self::Clock => docs::CLOCK,
            Self::Rights => docs::RIGHTS,
            Self::Quotas => docs::QUOTAS,
            Self::Ledger => docs::LEDGER,
            Self::Server => docs::SERVER,
            Self::Connection => docs::CONNECTION,
            Self::Login => docs::LOGIN,
            Self::Mongo => docs::MONGO,
        }
    }
}

/// One check: what was looked at, how it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub topic: Topic,
    /// What of it: a cluster, a service, a program.
    pub subject: String,
    pub health: Health,
    pub said: String,
    /// How to mend what is not well.
    pub mend: Option<String>,
}

impl Check {
    pub fn ok(topic: Topic, subject: impl Into<String>, said: impl Into<String>) -> Self {
        Self { topic, subject: subject.into(), health: Health::Ok, said: said.into(), mend: None }
    }

    pub fn warn(topic: Topic, subject: impl Into<String>, said: impl Into<String>, mend: &str) -> Self {
        let mend = Some(mend.to_owned());
        Self { health: Health::Warn, mend, ..Self::ok(topic, subject, said) }
    }

    pub fn fail(topic: Topic, subject: impl Into<String>, said: impl Into<String>, mend: &str) -> Self {
        Self { health: Health::Fail, ..Self::warn(topic, subject, said, mend) }
    }
}

/// The worst of all.
pub fn worst(checks: &[Check]) -> Health {
    checks.iter().map(|check| check.health).max().unwrap_or(Health::Ok)
}

pub fn text(checks: &[Check], colour: bool) -> String {
    let mut page = paint::Page::new(if colour { paint::Manner::Colour } else { paint::Manner::Plain });
    let named = |check: &Check| format!("{} {}", check.topic.name(), escape::visible(&check.subject));
    let width = checks.iter().map(|check| named(check).chars().count()).max().unwrap_or_default();
    for check in checks {
        let health = match check.health {
            Health::Ok => page.green("ok  "),
            Health::Warn => page.yellow("warn"),
            Health::Fail => page.bold_red("FAIL"),
        };
        let line = format!("{health}  {:width$}  {}", named(check), escape::visible(&check.said));
        page.bare(line.trim_end());
        if let Some(mend) = &check.mend {
            page.bare(&format!("      mend: {}", escape::visible(mend)));
            page.bare(&page.dim(&format!("      see {}", check.topic.docs())));
        }
    }
    let count = |health| checks.iter().filter(|check| check.health == health).count();
    let (ok, warn, fail) = (count(Health::Ok), count(Health::Warn), count(Health::Fail));
    page.bare("");
    page.bare(&format!("{ok} ok, {}, {fail} failed.", super::count(warn, "warning")));
    page.finish()
}

pub fn json(environment: &str, checks: &[Check]) -> Value {
    let one = |check: &Check| {
        json!({
            "check": check.topic.name(),
            "subject": check.subject,
            "status": match check.health {
                Health::Ok => "ok",
                Health::Warn => "warn",
                Health::Fail => "fail",
            },
            "summary": check.said,
            "mend": check.mend,
            "see": check.mend.as_ref().map(|_| check.topic.docs().to_string()),
        })
    };
    json!({
        "format_version": "1.0",
        "environment": environment,
        "healthy": worst(checks) < Health::Fail,
        "checks": checks.iter().map(one).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_stands_in_lines() {
        let checks = [
            Check::ok(Topic::Clock, "main", "0 s"),
            Check::warn(Topic::Rights, "apply", "may not \x1b[2J", "grant it"),
            Check::fail(Topic::Ledger, "s3://acme", "no", "make it"),
        ];
        insta::assert_snapshot!(text(&checks, false), @r"
        ok    clock main        0 s
        warn  rights apply      may not \u001b[2J
              mend: grant it
              see docs/trouble.md#rights
        FAIL  ledger s3://acme  no
              mend: make it
              see docs/trouble.md#ledger

        1 ok, 1 warning, 1 failed.
        ");
        let told = json("prod", &checks);
        assert_eq!((&told["healthy"], &told["checks"][1]["status"]), (&json!(false), &json!("warn")));
        assert_eq!(worst(&checks[..2]), Health::Warn);
        assert!(text(&checks, true).contains("\x1b[1;31mFAIL\x1b[0m"));
    }
}
