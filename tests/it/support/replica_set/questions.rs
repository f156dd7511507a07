//! Questions to the members, each asked directly, and orders.

use std::{
    thread,
    time::{Duration, Instant},
};

use mongodb::{
    Client, Database,
    bson::{Document, doc},
    options::{ClientOptions, Credential, ServerAddress, Tls, TlsOptions},
};

use super::{ROOT, ReplicaSet, runtime};

/// No answer takes longer, unless the member is frozen or waits for a lock.
const ANSWER: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_mins(1);

/// What `currentOp` says of locks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    /// Held, or waited for.
    pub(crate) flag: bool,
    pub(crate) held: bool,
    pub(crate) opid: Option<i64>,
    /// A command that waits for the lock.
    pub(crate) pending: bool,
}

impl Lock {
    pub(crate) fn is_none(&self) -> bool {
        !self.flag && !self.held && !self.pending
    }
}

/// Holds the global lock of a member.
pub(crate) struct Blocker<'a> {
    set: &'a ReplicaSet,
    member: usize,
    opid: i32,
}

impl Drop for Blocker<'_> {
    fn drop(&mut self) {
        let _ = self.set.try_run(self.member, doc! {"killOp": 1, "op": self.opid});
    }
}

impl ReplicaSet {
    /// A client of this member alone, by its own port: no proxy is in between. `None` is nobody.
    pub(crate) fn client(&self, user: Option<(&str, &str)>, member: usize) -> Client {
        let address = ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(self.members[member].port) };
        let mut options = ClientOptions::builder()
            .hosts(vec![address])
            .direct_connection(true)
            .connect_timeout(ANSWER)
            .server_selection_timeout(ANSWER)
            .retry_reads(false)
            .retry_writes(false)
            .build();
        if let Some((name, password)) = user {
            let mut credential = Credential::default();
            credential.username = Some(name.into());
            credential.password = Some(password.into());
            credential.source = Some("admin".into());
            options.credential = Some(credential);
        }
        if self.tls {
            let mut tls = TlsOptions::default();
            tls.ca_file_path = Some(self.ca_file());
            options.tls = Some(Tls::Enabled(tls));
        }
        runtime::client(options)
    }

    fn kept_client(&self, user: Option<(&str, &str)>, member: usize) -> Client {
        let key = (member, user.map(|user| user.0.to_owned()).unwrap_or_default());
        let mut clients = self.clients.lock().unwrap();
        clients.entry(key).or_insert_with(|| self.client(user, member)).clone()
    }

    fn forget_client(&self, user: Option<(&str, &str)>, member: usize) {
        let key = (member, user.map(|user| user.0.to_owned()).unwrap_or_default());
        self.clients.lock().unwrap().remove(&key);
    }

    /// Of the database admin, as root.
    #[track_caller]
    pub(crate) fn run(&self, member: usize, command: Document) -> Document {
        self.run_as(Some(ROOT), member, command)
    }

    #[track_caller]
    pub(crate) fn run_as(&self, user: Option<(&str, &str)>, member: usize, command: Document) -> Document {
        let shown = command.keys().next().cloned();
        match self.try_run_as(user, member, command) {
            Ok(answer) => answer,
            Err(error) => panic!("{shown:?} on {}: {error}", self.members[member].host),
        }
    }

    pub(crate) fn try_run(&self, member: usize, command: Document) -> Result<Document, String> {
        self.try_run_as(Some(ROOT), member, command)
    }

    pub(crate) fn try_run_as(
        &self,
        user: Option<(&str, &str)>,
        member: usize,
        command: Document,
    ) -> Result<Document, String> {
        let client = self.kept_client(user, member);
        let answer =
            runtime::wait(ANSWER, async move { client.database("admin").run_command(command).await });
        let answer = answer
            .ok_or("no answer in time".to_owned())
            .and_then(|answer| answer.map_err(|error| error.to_string()));
        if answer.is_err() {
            self.forget_client(user, member);
        }
        answer
    }

    /// Starts a command and does not wait for its answer.
    pub(crate) fn begin(&self, member: usize, command: Document) {
        let client = self.client(Some(ROOT), member);
        runtime::spawn(async move {
            let _ = client.database("admin").run_command(command).await;
        });
    }

    /// Writes on a member as validation or a long transaction does, so that a lock has to wait, until it is dropped or the time
    /// is over. Only for [`Layout::blockable`](super::Layout::blockable) sets.
    pub(crate) fn block(&self, member: usize, time: Duration) -> Blocker<'_> {
        self.block_with("iw", member, time)
    }

    /// `w` keeps everybody out, `iw` only those that let nobody write.
    pub(crate) fn block_with(&self, mode: &str, member: usize, time: Duration) -> Blocker<'_> {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.begin(member, doc! {"sleep": 1, "lock": mode, "millis": millis});
        let mut opid = None;
        until("the lock is taken", || {
            let filter = doc! {"currentOp": 1, "command.sleep": 1, "waitingForLock": false, "active": true};
            let found = self.run(member, filter);
            let operations = found.get_array("inprog").unwrap();
            opid = operations.first().and_then(|operation| operation.as_document()?.get_i32("opid").ok());
            opid.is_some()
        });
        Blocker { set: self, member, opid: opid.unwrap() }
    }

    /// The database where the application's collections are.
    pub(crate) const APPLICATION: &str = "app";

    pub(crate) fn application(client: &Client) -> Database {
        client.database(Self::APPLICATION)
    }

    /// A user in admin who has just these cluster actions.
    pub(crate) fn make_user(&self, user: (&str, &str), actions: &[&str]) {
        let primary = self.await_primary();
        let role = format!("role_of_{}", user.0);
        let privileges = [doc! {"resource": {"cluster": true}, "actions": actions.to_vec()}];
        self.run(primary, doc! {"createRole": &role, "roles": [], "privileges": privileges.to_vec()});
        self.run(primary, doc! {"createUser": user.0, "pwd": user.1, "roles": [role]});
    }

    pub(crate) fn drop_user(&self, user: (&str, &str)) {
        let primary = self.await_primary();
        self.run(primary, doc! {"dropUser": user.0});
        self.run(primary, doc! {"dropRole": format!("role_of_{}", user.0)});
    }

    /// Who says that it is primary.
    pub(crate) fn primary(&self) -> Option<usize> {
        (0..self.members.len()).find(|member| self.is_primary(*member))
    }

    pub(crate) fn is_primary(&self, member: usize) -> bool {
        self.says(member, "isWritablePrimary")
    }

    pub(crate) fn is_secondary(&self, member: usize) -> bool {
        self.says(member, "secondary")
    }

    fn says(&self, member: usize, field: &str) -> bool {
        self.members[member].is_running()
            && self
                .try_run_as(None, member, doc! {"hello": 1})
                .is_ok_and(|hello| hello.get_bool(field).unwrap_or(false))
    }

    #[track_caller]
    pub(crate) fn await_primary(&self) -> usize {
        until("there is a primary", || self.primary().is_some());
        self.primary().unwrap()
    }

    pub(crate) fn secondaries(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|member| self.is_secondary(*member)).collect()
    }

    /// There is a primary, everybody else is a secondary or an arbiter, and knows everybody else.
    #[track_caller]
    pub(crate) fn until_healthy(&self) {
        until("all members are well", || self.is_healthy());
    }

    /// Elected by itself, after something was down: it may take an election.
    #[track_caller]
    pub(crate) fn until_well(&self) {
        self.until_healthy();
        self.until_replicated();
    }

    fn is_healthy(&self) -> bool {
        let well = |status: Document| {
            let members = status.get_array("members").unwrap();
            members.iter().filter_map(|member| member.as_document()).all(|member| {
                matches!(member.get_i32("state"), Ok(1 | 2 | 7))
                    && member.get_f64("health").is_ok_and(|health| health > 0.0)
            })
        };
        self.primary().is_some()
            && (0..self.members.len()).all(|member| {
                self.members[member].arbiter
                    || self.try_run(member, doc! {"replSetGetStatus": 1}).is_ok_and(well)
            })
    }

    /// Whatever is written by now is on every member that runs.
    #[track_caller]
    pub(crate) fn until_replicated(&self) {
        let applied = |member: usize| {
            let status = self.run(member, doc! {"replSetGetStatus": 1});
            let times = status.get_document("optimes").unwrap();
            times.get_document("appliedOpTime").unwrap().get_timestamp("ts").unwrap()
        };
        let newest = applied(self.await_primary());
        for member in self.secondaries() {
            until("it is replicated", || applied(member) >= newest);
        }
    }

    /// What one member says of another: 1 if it is well, 0 if it cannot be reached.
    pub(crate) fn health_of(&self, asked: usize, other: usize) -> f64 {
        let status = self.run(asked, doc! {"replSetGetStatus": 1});
        let members = status.get_array("members").unwrap().iter().filter_map(|member| member.as_document());
        let other = members
            .into_iter()
            .find(|member| member.get_str("name").is_ok_and(|name| name == self.members[other].host));
        other.unwrap().get_f64("health").unwrap()
    }

    /// Whether it is locked, by asking it directly.
    pub(crate) fn lock(&self, member: usize) -> Result<Lock, String> {
        let answer = self.try_run(member, doc! {"currentOp": 1, "$all": true})?;
        let mut lock = Lock { flag: answer.get_bool("fsyncLock").unwrap_or(false), ..Lock::default() };
        let operations = answer.get_array("inprog").map_err(|error| error.to_string())?;
        for operation in operations.iter().filter_map(|operation| operation.as_document()) {
            if operation.get_str("desc").is_ok_and(|name| name == "fsyncLockWorker") {
                lock.opid =
                    operation.get_i32("opid").map(i64::from).or_else(|_| operation.get_i64("opid")).ok();
                lock.held = operation.get_bool("active").unwrap_or(false)
                    && !operation.get_bool("waitingForLock").unwrap_or(true);
            }
            let command = operation.get_document("command");
            lock.pending |=
                command.is_ok_and(|command| command.contains_key("fsync") && command.contains_key("lock"));
        }
        Ok(lock)
    }

    /// Those that run, bear data, and are locked or about to be. One that cannot say at once is asked again: who just ceased to
    /// be primary hangs up on everybody.
    #[track_caller]
    pub(crate) fn locked(&self) -> Vec<usize> {
        let asked =
            (0..self.members.len()).filter(|at| self.members[*at].is_running() && !self.members[*at].arbiter);
        asked
            .filter(|member| {
                let mut lock = None;
                until("it says whether it is locked", || {
                    lock = self.lock(*member).ok();
                    lock.is_some()
                });
                lock.is_some_and(|lock| !lock.is_none())
            })
            .collect()
    }

    /// Those that certainly are.
    pub(crate) fn held(&self) -> Vec<usize> {
        let all = 0..self.members.len();
        all.filter(|member| self.lock(*member).is_ok_and(|lock| lock.held)).collect()
    }

    /// As somebody else does it; the count.
    #[track_caller]
    pub(crate) fn fsync_lock(&self, member: usize) -> i64 {
        let lock = || self.try_run(member, doc! {"fsync": 1, "lock": true});
        let mut answer = lock();
        // Just restarted, it does not know the set's keys yet; just copied from another, it has no checkpoint.
        until("it can be locked", || {
            let again = answer.as_ref().is_err_and(|error| {
                error.contains("KeyNotFound") || error.contains("initial data timestamp")
            });
            if again {
                answer = lock();
            }
            !again
        });
        count(&answer.unwrap())
    }

    #[track_caller]
    pub(crate) fn fsync_unlock(&self, member: usize) -> i64 {
        count(&self.run(member, doc! {"fsyncUnlock": 1}))
    }

    /// Releases whatever is held, by whomever.
    pub(crate) fn unlock_all(&self) {
        for member in 0..self.members.len() {
            while !self.members[member].arbiter && self.lock(member).is_ok_and(|lock| lock.flag) {
                let _ = self.try_run(member, doc! {"fsyncUnlock": 1});
            }
        }
    }

    /// Another primary than now, by a step down for so many seconds.
    pub(crate) fn step_down(&self, seconds: i32) {
        let primary = self.await_primary();
        self.run(primary, doc! {"replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": 5});
    }
}

fn count(answer: &Document) -> i64 {
    answer.get_i64("lockCount").or_else(|_| answer.get_i32("lockCount").map(i64::from)).unwrap()
}

/// Waits for it, for as long as anything may take.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl FnMut() -> bool) {
    within(PATIENCE, what, holds);
}

/// How long it took.
#[track_caller]
pub(crate) fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}
