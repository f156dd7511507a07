//! `infra doctor`: whether everything is there that plans and applies need. Reads only; no check hides another.

mod account;
mod machine;
mod replicas;
mod servers;

use std::time::Duration;

use tokio::time::timeout;

use super::{Exit, Stop, session::Session};
use crate::{
    cli::{self, Global},
    providers::{ReadOnly, aws::Aws},
    report::checks::{self, Check, Health, Topic},
    ui::Terminal,
};

/// A clock that is off by more makes AWS refuse what it is asked.
const SKEW: u64 = 240;
/// A clock that is off by more is not kept by anybody.
const UNKEPT: u64 = 30;

pub(super) async fn run(global: &Global, arguments: &cli::Doctor, terminal: &Terminal) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    if !global.quiet {
        terminal.err(&format!("Looking at what {} needs...\n", session.name));
    }
    let limit = arguments.timeout;
    let away = async {
        match session.settings() {
            Ok(Some(settings)) => Box::pin(account::checks(&session, &settings, limit)).await,
            Ok(None) => {
                let (ledger, servers) = futures::join!(
                    ledger::<ReadOnly>(&session, None, limit),
                    Box::pin(servers::checks(&session, None, limit))
                );
                [ledger, servers].concat()
            }
            Err(stop) => vec![Check::fail(
                Topic::Endpoint,
                "platform",
                super::platform::told(&stop),
                "the YAML says where the value comes from",
            )],
        }
    };
    let (away, replicas) = futures::join!(Box::pin(away), Box::pin(replicas::checks(&session, limit)));
    let all = [machine::checks(&session), away, replicas].concat();
    terminal.out(&if arguments.json {
        format!("{:#}\n", checks::json(&session.name, &all))
    } else {
        checks::text(&all, terminal.colour)
    })?;
    Ok(if checks::worst(&all) == Health::Fail { Exit::Failed } else { Exit::Done })
}

/// A check that takes longer has failed.
async fn within(
    limit: Duration,
    topic: Topic,
    subject: &str,
    check: impl Future<Output = Vec<Check>>,
) -> Vec<Check> {
    timeout(limit, check).await.unwrap_or_else(|_| {
        let said = format!("no answer within {} ms", limit.as_millis());
        vec![Check::fail(
            topic,
            subject,
            said,
            "is there a way to it from here? --timeout gives it more time",
        )]
    })
}

/// Whether the ledger can be read, and whether a folder could be written.
async fn ledger<M>(session: &Session, aws: Option<&Aws<M>>, limit: Duration) -> Vec<Check> {
    const MEND: &str = "`ledger:` in environment.yaml says where it is; a bucket must be there already, and let itself be read and written";
    let place = session.environment.ledger.clone().unwrap_or_else(|| format!(".infra/{}", session.name));
    let check = async {
        let ledger = match session.ledger_to_read(aws).await {
            Ok(ledger) => ledger,
            Err(stop) => return vec![Check::fail(Topic::Ledger, &place, super::platform::told(&stop), MEND)],
        };
        let (runs, holder) = futures::join!(ledger.list("history"), ledger.holder(super::locks::LEASE));
        let read = match (runs, holder) {
            (Ok(runs), Ok(holder)) => {
                let busy = holder.map(|holder| format!("; at work: {holder}")).unwrap_or_default();
                Check::ok(Topic::Ledger, &place, format!("can be read, {} runs recorded{busy}", runs.len()))
            }
            (Err(error), _) | (_, Err(error)) => {
                Check::fail(Topic::Ledger, &place, crate::model::causes(&error), MEND)
            }
        };
        let mut found = vec![read];
        if let Some(folder) = ledger.path()
            && !machine::may_write(folder)
        {
            let said = format!("{} cannot be written by this user", folder.display());
            found.push(Check::warn(
                Topic::Ledger,
                &place,
                said,
                "an apply keeps its lock and its record there",
            ));
        }
        found
    };
    within(limit, Topic::Ledger, &place, Box::pin(check)).await
}

/// How far this machine's clock is ahead of another.
fn clock(subject: &str, ahead: i64) -> Check {
    const MEND: &str = "set this machine's clock by NTP: AWS refuses signatures that are minutes off";
    let way = if ahead < 0 { "behind" } else { "ahead of" };
    let said = match ahead.unsigned_abs() {
        0..=2 => "the same as this machine's".to_owned(),
        seconds => format!("this machine's clock is {seconds} s {way} it"),
    };
    match ahead.unsigned_abs() {
        seconds if seconds > SKEW => Check::fail(Topic::Clock, subject, said, MEND),
        seconds if seconds > UNKEPT => Check::warn(Topic::Clock, subject, said, MEND),
        _ => Check::ok(Topic::Clock, subject, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ() {
        for (ahead, health) in [
            (0, Health::Ok),
            (-30, Health::Ok),
            (31, Health::Warn),
            (240, Health::Warn),
            (-241, Health::Fail),
        ] {
            assert_eq!(clock("rds", ahead).health, health, "{ahead}");
        }
        assert_eq!(clock("rds", -300).said, "this machine's clock is 300 s behind it");
        assert_eq!(clock("rds", i64::MIN).health, Health::Fail);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_fails_alone() {
        let hangs = within(Duration::from_secs(1), Topic::Ledger, "x", std::future::pending());
        assert_eq!(hangs.await[0].said, "no answer within 1000 ms");
    }
}
