//! Writing: scripts become as few transactions as they can, each sent as one message.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use tokio::time::sleep;

use super::{Endpoint, MAINTENANCE, Place, Postgres, Script, SqlError, Stage, canary, connection::Session};
use crate::providers::ReadWrite;

/// Tries of a transaction that met another session at the same row; over some seconds, for a crowd of others.
const TRIES: u32 = 6;

/// One step's part of a unit.
#[derive(Debug)]
pub struct Task {
    pub script: Script,
}

/// How a task ended.
#[derive(Debug)]
pub enum Ending {
    Done,
    Failed(SqlError),
    /// Nothing of it took effect, because another task in the same transaction failed.
    RolledBack,
}

/// Tasks whose stages are sent together: one transaction for all, or one task that needs several.
struct Group {
    tasks: std::ops::Range<usize>,
    stages: Vec<Stage>,
    /// For each statement of a merged transaction, whose it is.
    owners: Vec<usize>,
}

impl Postgres<ReadWrite> {
    /// Runs the tasks in order and answers with one ending for each. Neighbours that need one transaction each, at the
    /// same place, share it.
    pub async fn run(&self, endpoint: &Endpoint, tasks: &[Task]) -> Vec<Ending> {
        let mut sessions = Sessions { client: self, endpoint, open: BTreeMap::new() };
        let mut endings: Vec<Ending> = Vec::with_capacity(tasks.len());
        for group in groups(tasks) {
            let error = match sessions.run(&group).await {
                Ok(()) => {
                    endings.extend(group.tasks.map(|_| Ending::Done));
                    continue;
                }
                Err(error) => error,
            };
            match error {
                // It has been committed, and only the memberships were taken back.
                (_, SqlError::LockedOut(why)) => {
                    let grants = |task| {
                        tasks.get(task).is_some_and(|task: &Task| {
                            task.script.statements().any(|statement| canary::member(statement).is_some())
                        })
                    };
                    endings.extend(group.tasks.map(|task| {
                        if grants(task) {
                            Ending::Failed(SqlError::LockedOut(why.clone()))
                        } else {
                            Ending::Done
                        }
                    }));
                    endings.extend((endings.len()..tasks.len()).map(|_| Ending::RolledBack));
                }
                // Nothing is left to talk to, and each of the rest would find the same.
                (_, error) if error.is_lost() => {
                    endings.push(Ending::Failed(error));
                    let rest = endings.len()..tasks.len();
                    endings.extend(rest.map(|_| Ending::Failed(SqlError::Abandoned)));
                }
                (at, error) => {
                    let culprit = group.owners.get(at).copied().unwrap_or(group.tasks.start);
                    let mut error = Some(error);
                    for task in group.tasks.start..tasks.len() {
                        endings.push(match error.take_if(|_| task == culprit) {
                            Some(error) => Ending::Failed(error),
                            None => Ending::RolledBack,
                        });
                    }
                }
            }
            break;
        }
        sessions.close().await;
        endings
    }
}

impl Postgres<ReadWrite> {
    /// A session to the maintenance database: one that another unit has left, or a new one.
    async fn maintenance(&self, endpoint: &Endpoint) -> Result<Session, SqlError> {
        let left = self.idle.lock().ok().and_then(|mut idle| {
            let at = idle.iter().position(|(of, _)| of == endpoint)?;
            Some(idle.swap_remove(at).1)
        });
        match left {
            Some(session) => Ok(session),
            None => self.open(endpoint, MAINTENANCE).await,
        }
    }

    /// Leaves a session for the next unit: to connect anew would cost the server more than most changes do.
    fn keep(&self, endpoint: &Endpoint, session: Session) {
        if let Ok(mut idle) = self.idle.lock() {
            idle.push((endpoint.clone(), session));
        }
    }
}

fn groups(tasks: &[Task]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let stages = &task.script.0;
        if let ([stage], Some(last)) = (&stages[..], groups.last_mut())
            && stage.transaction
            && let [merged] = &mut last.stages[..]
            && merged.transaction
            && merged.place == stage.place
        {
            merged.statements.extend(stage.statements.iter().cloned());
            last.owners.extend(stage.statements.iter().map(|_| index));
            last.tasks.end = index + 1;
            continue;
        }
        let owners = stages.iter().flat_map(|stage| &stage.statements).map(|_| index).collect();
        groups.push(Group { tasks: index..index + 1, stages: stages.clone(), owners });
    }
    groups
}

/// Sessions of one unit; a unit never needs two at once.
struct Sessions<'a> {
    client: &'a Postgres<ReadWrite>,
    endpoint: &'a Endpoint,
    open: BTreeMap<Place, Session>,
}

impl Sessions<'_> {
    async fn run(&mut self, group: &Group) -> Result<(), (usize, SqlError)> {
        let mut before = 0;
        for stage in &group.stages {
            self.stage(stage).await.map_err(|(at, error)| (before + at, error))?;
            before += stage.statements.len();
        }
        Ok(())
    }

    async fn stage(&mut self, stage: &Stage) -> Result<(), (usize, SqlError)> {
        let mut tries = 0;
        loop {
            tries += 1;
            let result = self.once(stage).await;
            match result {
                Err((_, error)) if error.is_transient() && tries < TRIES => {
                    // No randomness is needed to get apart: each retry waits longer than the other side's transaction.
                    sleep(Duration::from_millis(60 * u64::from(tries * tries))).await;
                }
                other => return other,
            }
        }
    }

    async fn once(&mut self, stage: &Stage) -> Result<(), (usize, SqlError)> {
        let session = match self.open.entry(stage.place.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let session = match &stage.place {
                    Place::Maintenance => self.client.maintenance(self.endpoint).await,
                    Place::Database(name) => self.client.open(self.endpoint, name).await,
                };
                entry.insert(session.map_err(|error| (0, error))?)
            }
        };
        if !stage.transaction {
            return session.execute(&stage.statements).await;
        }
        let mut statements = Vec::with_capacity(stage.statements.len() + 2);
        statements.push("BEGIN".to_owned());
        statements.extend(stage.statements.iter().cloned());
        statements.push("COMMIT".to_owned());
        let result = session.execute(&statements).await;
        if let Err((at, error)) = result {
            if error.is_lost() {
                self.open.remove(&stage.place);
            } else {
                let _ = session.execute(&["ROLLBACK".to_owned()]).await;
            }
            return Err((at.saturating_sub(1), error));
        }
        self.client.look_after(self.endpoint, session, &stage.statements).await.map_err(|error| (0, error))
    }

    async fn close(self) {
        for (place, session) in self.open {
            match place {
                Place::Maintenance => self.client.keep(self.endpoint, session),
                Place::Database(_) => session.close().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(place: &Place, statements: &[&str]) -> Task {
        let statements = statements.iter().map(ToString::to_string).collect();
        Task { script: Script::transaction(place.clone(), statements) }
    }

    #[test]
    fn neighbours_at_one_place_share_a_transaction() {
        let (here, there) = (Place::Maintenance, Place::Database("orders".into()));
        let long = Script::default().then_alone(here.clone(), "CREATE DATABASE d".into());
        let tasks = [
            task(&here, &["a", "b"]),
            task(&here, &["c"]),
            Task { script: long.then(here.clone(), vec!["d".into()]) },
            task(&there, &["e"]),
            task(&there, &["f"]),
        ];
        let shape: Vec<_> = groups(&tasks)
            .iter()
            .map(|g| (g.tasks.clone(), g.stages.iter().map(|s| s.statements.join(" ")).collect::<Vec<_>>()))
            .collect();
        assert_eq!(
            shape,
            [
                (0..2, vec!["a b c".to_owned()]),
                (2..3, vec!["CREATE DATABASE d".into(), "d".into()]),
                (3..5, vec!["e f".into()]),
            ]
        );
        assert_eq!(groups(&tasks)[0].owners, [0, 0, 1]);
    }
}
