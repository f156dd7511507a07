//! An apply that is killed between any two of its commands, or while one is being carried out, is continued by the next.

use std::{process::Stdio, time::Duration};

use mongodb::bson::doc;

use super::project::Project;
use crate::support::replica_set::{Layout, ReplicaSet, until};

const COMMANDS: [&str; 6] = ["createRole", "createUser", "updateRole", "updateUser", "dropRole", "dropUser"];

/// Applies, and is killed while its n-th change waits in the server, where it is carried out all the same. `false`: it was
/// through before.
fn killed_at(project: &Project<Box<ReplicaSet>>, arguments: &[&str], number: i64) -> bool {
    let primary = project.set.await_primary();
    let data = doc! {"failCommands": COMMANDS.to_vec(), "blockConnection": true, "blockTimeMS": 200};
    let before = project
        .set
        .run(primary, doc! {"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data});
    let count =
        before.get("count").and_then(|count| count.as_i64().or(count.as_i32().map(i64::from))).unwrap();
    let entered = || {
        let asked = doc! {"waitForFailPoint": "failCommand", "timesEntered": count + number, "maxTimeMS": 20};
        project.set.try_run(primary, asked).is_ok()
    };
    let mut command = project.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut killed = false;
    until("it is killed, or through", || {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        if entered() {
            child.kill().unwrap();
            killed = true;
        }
        killed
    });
    child.wait().unwrap();
    project.set.run(primary, doc! {"configureFailPoint": "failCommand", "mode": "off"});
    // What was in the server's hands is done by now.
    std::thread::sleep(Duration::from_millis(250));
    killed
}

#[test]
fn at_every_command() {
    let before = "services: {billing: {mongo: events}, orders: {mongo: events}, audit: {}}\npeople: {ana: {}, boris: {}}\n\
        developer_groups: {backend: {members: [ana, boris], services: all, access: read-only}}\n";
    // Something to make, something to change, something to drop.
    let after = "services: {billing: {mongo: events}, audit: {mongo: events}, orders: {}}\npeople: {boris: {}, chiara: {}}\n\
        developer_groups:\n  backend: {members: [boris], services: [billing], access: read-write}\n  \
        auditors: {members: [chiara, boris], services: [audit], access: read-only}\n";
    let project = Project::on(Box::new(Layout::of(1).blockable().start()), before);
    let mut number = 1;
    loop {
        project.write(before);
        project.apply();
        project.settled();
        project.write(after);
        if !killed_at(&project, &["apply", "--auto-approve", "--allow-destroy=all"], number) {
            break;
        }
        // Nobody ever has more than before or after: killed runs leave no user with a role that is neither.
        project.infra(&["apply", "--auto-approve", "--allow-destroy=all"]).expect(0);
        project.settled();
        project.write(before);
        project.infra(&["apply", "--auto-approve", "--allow-destroy=all"]).expect(0);
        project.settled();
        number += 1;
    }
    assert!(number > 9, "only {number} commands");
    project.settled();

    let mut number = 1;
    while killed_at(&project, &["destroy", "--auto-approve", "--allow-destroy=all"], number) {
        project.infra(&["apply", "--auto-approve"]).expect(0);
        number += 1;
    }
    assert!(number > 8, "only {number} commands");
    project.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    assert_eq!((project.users().len(), project.roles().len()), (0, 0));
}
