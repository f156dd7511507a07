//! Backup policies, and the commands that are run for them.

use super::{
    Facts,
    clusters::{WINDOW_MINUTES, daily},
};
use crate::{
    config::{
        problem::{Problems, listed},
        source::quoted,
    },
    model::environment::{BackupPolicy, Keep, MongoBackup},
};

pub(super) fn check(facts: &Facts<'_>, problems: &mut Problems) {
    for (name, policy) in &facts.environment.backup_policies {
        match policy {
            BackupPolicy::Aurora(aurora) => {
                let Some(window) = &aurora.window else { continue };
                let ends = window.split_once('-').and_then(|(start, end)| Some((daily(start)?, daily(end)?)));
                let length = ends.map(|(start, end)| (end + 24 * 60 - start) % (24 * 60));
                if let Some(length) = length.filter(|length| *length < WINDOW_MINUTES) {
                    problems
                        .add(
                            facts.at(&["backup_policies", name, "aurora", "window"]),
                            format!("the backup window {} lasts {length} minutes", quoted(window)),
                        )
                        .because("AWS takes 30 minutes or more");
                }
            }
            BackupPolicy::Mongo(mongo) => self::mongo(facts, problems, name, mongo),
        }
    }
    for (name, cluster) in &facts.environment.mongo_clusters {
        for member in cluster.vm_hosts.keys() {
            let port = member.rsplit_once(':').map(|(_, port)| port);
            if port.is_none_or(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
                problems
                    .add(
                        facts.key(&["mongo_clusters", name, "vm_hosts", member]),
                        format!("{} is not a member of a replica set", quoted(member)),
                    )
                    .mend("write it as the replica set does: `host:port`, in quotes");
            }
        }
    }
}

fn mongo(facts: &Facts<'_>, problems: &mut Problems, name: &str, policy: &MongoBackup) {
    let path = |key| ["backup_policies", name, "mongo", key];
    for (key, duration) in
        [("every", policy.every), ("max_lock", policy.max_lock), ("max_lag", policy.max_lag)]
    {
        if duration.as_secs() == 0 {
            problems.add(facts.at(&path(key)), format!("`{key}` is no time at all"));
        }
    }
    command(facts, problems, &policy.snapshot_command, &path("snapshot_command"), &["host"], &["host"]);
    if let Some(delete) = &policy.delete_command {
        let both = ["host", "snapshot"];
        command(facts, problems, delete, &path("delete_command"), &both, &both);
        if keeps_nothing(policy.keep) && facts.unfit.spares(&path("keep")) {
            problems
                .add(
                    facts.at(&path("keep")),
                    format!("the policy `{name}` would delete every snapshot it takes"),
                )
                .also("because of this", facts.key(&path("delete_command")))
                .mend(
                    "add `keep: {last: 4, daily: 7}`, or leave out `delete_command`: then nothing is deleted",
                );
        }
    }
}

fn keeps_nothing(keep: Keep) -> bool {
    [keep.last, keep.hourly, keep.daily, keep.weekly, keep.monthly]
        .iter()
        .all(|count| count.unwrap_or(0) == 0)
}

/// A command as a list of words: not empty, with everything filled in that it needs, and nothing that is not.
pub(super) fn command(
    facts: &Facts<'_>,
    problems: &mut Problems,
    words: &[String],
    path: &[&str],
    needed: &[&str],
    filled_in: &[&str],
) {
    if !facts.unfit.spares(path) {
        return;
    }
    let spot = facts.at(path);
    let name = path.last().copied().unwrap_or_default();
    if words.first().is_none_or(|word| word.trim().is_empty()) {
        problems
            .add(spot, format!("`{name}` names no program"))
            .mend("write a list: the program, then its arguments");
        return;
    }
    for missing in needed.iter().filter(|key| !words.iter().any(|word| word.contains(&format!("{{{key}}}"))))
    {
        problems
            .add(spot, format!("`{name}` never uses `{{{missing}}}`"))
            .mend(format!("add \"{{{missing}}}\", in quotes, where the program expects it"));
    }
    for (index, word) in words.iter().enumerate() {
        for placeholder in placeholders(word).filter(|key| !filled_in.contains(key)) {
            problems
                .add(facts.item(path, index), format!("nothing is filled in for `{{{placeholder}}}`"))
                .mend(format!("filled in are {}", listed(filled_in, "and")));
        }
    }
}

/// The names in braces: what looks like one of ours, misspelt. JSON in an argument is none.
fn placeholders(word: &str) -> impl Iterator<Item = &str> {
    word.split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}').map(|(name, _)| name))
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}
