//! The catalogue and the clock, without a replica set.

use jiff::SignedDuration;
use serde_json::json;

use super::{history::length, *};
use crate::{
    model::{duration, environment::Keep},
    snapshot::retention::{Leave, Withheld},
};

const NOW: i64 = 1_795_478_605;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn entry(age: SignedDuration, status: &str) -> (String, Entry) {
    let at = now() - age;
    let manifest = json!({
        "schema": 1, "run_id": format!("{:x}", at.as_second()), "tool_version": "infra 0.1.0", "status": status,
        "consistent": status == "consistent", "ending": "consistent", "started_at": at, "ended_at": at,
        "unlocked": "verified", "command": ["make-vm-snapshot", "vm-1"], "vm_host": "vm-1",
        "snapshot_ids": [format!("snap-{}", at.as_second())],
    });
    let entry: Entry = serde_json::from_value(manifest).unwrap();
    (entry.name(), entry)
}

fn history(entries: &[(SignedDuration, &str)]) -> History {
    History::new(entries.iter().map(|(age, status)| entry(*age, status)).collect(), now())
}

fn every(text: &str) -> duration::Duration {
    text.parse().unwrap()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

#[test]
fn a_snapshot_is_due_when_the_last_good_one_is_old() {
    for (entries, every_, due, text) in [
        (vec![], "6h", true, "never taken, policy every 6h"),
        (vec![(hours(7), "consistent")], "6h", true, "last 7h ago, policy every 6h; overdue by 1h"),
        (vec![(hours(1), "consistent")], "6h", false, "last 1h ago, policy every 6h"),
        (vec![(hours(6), "consistent")], "6h", true, "last 6h ago, policy every 6h"),
        // Some seconds early, as cron may be.
        (
            vec![(hours(6) - SignedDuration::from_mins(5), "consistent")],
            "6h",
            true,
            "last 5h 55m ago, policy every 6h",
        ),
        (
            vec![(hours(6) - SignedDuration::from_mins(6), "consistent")],
            "6h",
            false,
            "last 5h 54m ago, policy every 6h",
        ),
        // What came to nothing counts for nothing.
        (
            vec![(hours(1), "failed"), (hours(9), "consistent")],
            "6h",
            true,
            "last 9h ago, policy every 6h; overdue by 3h",
        ),
        (vec![(hours(1), "inconsistent")], "6h", true, "never taken, policy every 6h"),
        // The clock went back.
        (vec![(hours(-3), "consistent")], "6h", false, "last 0s ago, policy every 6h"),
        (vec![(SignedDuration::from_secs(9), "consistent")], "10s", false, "last 9s ago, policy every 10s"),
    ] {
        let found = history(&entries).due(every(every_));
        assert_eq!((found.is_due(), found.to_string().as_str()), (due, text));
    }
}

#[test]
fn lengths_of_time() {
    for (seconds, text) in [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3_599, "59m 59s"),
        (3_600, "1h"),
        (90_000, "1d 1h"),
        (86_400 + 59, "1d"),
    ] {
        assert_eq!(length(Duration::from_secs(seconds)), text);
    }
}

/// What is about to be made is counted, so that a plan says all that will go.
#[test]
fn one_that_is_due_counts_already() {
    let two = history(&[(hours(7), "consistent"), (hours(13), "consistent")]);
    let keep = Keep { last: Some(2), ..Keep::default() };
    assert!(two.retention(&keep, false, Leave::default()).removed.is_empty());
    let with = two.retention(&keep, true, Leave::default());
    assert_eq!(with.removed.len(), 1);
    assert_eq!(with.kept.len(), 1, "the new one is not in the catalogue yet");
    // Unless it comes to nothing, nothing is withheld by an earlier failure.
    let failed = history(&[(hours(1), "failed"), (hours(7), "consistent"), (hours(13), "consistent")]);
    let keep = Keep { last: Some(1), ..Keep::default() };
    assert_eq!(failed.retention(&keep, false, Leave::default()).withheld, Some(Withheld::LastFailed));
    assert_eq!(failed.retention(&keep, true, Leave::default()).removed.len(), 2);
}

#[test]
fn a_manifest_keeps_its_form_in_the_catalogue() {
    let (name, mut entry) = entry(hours(1), "consistent");
    assert_eq!(name, "20261123T230325Z-6b04b6dd".replace("6b04b6dd", &format!("{:x}", NOW - 3_600)));
    let json = serde_json::to_value(&entry).unwrap();
    assert_eq!(json, serde_json::to_value(&entry.manifest).unwrap());
    entry.deleting = Some(now());
    assert!(!entry.is_good());
    let again: Entry = serde_json::from_value(serde_json::to_value(&entry).unwrap()).unwrap();
    assert_eq!(again, entry);
}

#[tokio::test]
async fn deletion_ends_as_the_command_does() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        filled(&words(&["delete", "{host}", "--id={snapshot}"]), "vm-1", "snap-2"),
        ["delete", "vm-1", "--id=snap-2"]
    );
    assert_eq!(delete::run(&words(&["true", "{host}", "{snapshot}"]), "vm-1", "snap-1", &[]).await, Ok(()));
    let failing = words(&["sh", "-c", "echo no such snapshot $1 >&2; exit 4", "-", "{snapshot}"]);
    assert_eq!(
        delete::run(&failing, "vm-1", "snap-1", &[]).await,
        Err("sh ended with exit status: 4: no such snapshot snap-1".into())
    );
    let missing = delete::run(&words(&["no-such-program-7f3a"]), "vm-1", "snap-1", &[]).await.unwrap_err();
    assert!(missing.starts_with("no-such-program-7f3a cannot be started"), "{missing}");
    // A snapshot's name is no part of a shell's language.
    let quoted = words(&["sh", "-c", "test \"$1\" = '$(touch x); y'", "-", "{snapshot}"]);
    assert_eq!(delete::run(&quoted, "vm-1", "$(touch x); y", &[]).await, Ok(()));
    let hidden = words(&["sh", "-c", "test -z \"$HOME\"", "{host}", "{snapshot}"]);
    assert!(delete::run(&hidden, "vm-1", "snap-1", &[]).await.is_err());
    assert_eq!(delete::run(&hidden, "vm-1", "snap-1", &["HOME".into()]).await, Ok(()));
}
