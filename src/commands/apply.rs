//! `infra apply` and `infra destroy`: plan, show, ask, do, and look whether it is done.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use super::{
    Exit, Stop,
    interrupt::Signals,
    plan::{saved, style, unreadable},
    session::{Planned, Session, Wanted, who},
};
use crate::{
    cli::{self, Global, How},
    engine::{self, Digest},
    model::Address,
    providers::{
        ReadWrite,
        ledger::{FileLock, Holder, LedgerError},
        postgres::{Lock, LockError},
    },
    report::{Account, PlanView, difference, text},
    resources::Live,
    ui::{Approval, Failure, NotApproved, Progress, Terminal, progress::Manner, prompt},
};

pub(super) async fn apply(
    global: &Global,
    arguments: &cli::Apply,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let reviewed = arguments.plan_file.as_deref().map(saved).transpose()?;
    let mut wanted = Wanted::new(&arguments.shape, arguments.destroy, &arguments.how.allow_destroy);
    if let Some(reviewed) = &reviewed {
        wanted.selection.targets.clone_from(&reviewed.options.targets);
        wanted.selection.excludes.clone_from(&reviewed.options.excludes);
        wanted.destroy = reviewed.options.destroy;
    }
    let run = Run { global, how: &arguments.how, terminal, wanted, reviewed, verb: "apply" };
    Box::pin(run.run()).await
}

pub(super) async fn destroy(
    global: &Global,
    arguments: &cli::Destroy,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let wanted = Wanted::new(&arguments.shape, true, &arguments.how.allow_destroy);
    let run = Run { global, how: &arguments.how, terminal, wanted, reviewed: None, verb: "destroy" };
    Box::pin(run.run()).await
}

struct Run<'a> {
    global: &'a Global,
    how: &'a How,
    terminal: &'a Terminal,
    wanted: Wanted,
    /// The saved plan that is to be applied.
    reviewed: Option<PlanView>,
    verb: &'static str,
}

/// Everything that keeps another apply away.
struct Locks {
    file: FileLock,
    clusters: Vec<Lock>,
}

impl Locks {
    async fn release(self) {
        for lock in self.clusters {
            lock.release().await;
        }
        self.file.release();
    }

    /// Ends when one of them is lost.
    async fn lost(&self) -> String {
        if self.clusters.is_empty() {
            return std::future::pending().await;
        }
        let kept = self.clusters.iter().map(|lock| Box::pin(lock.keep()));
        let (error, ..) = futures::future::select_all(kept).await;
        error.to_string()
    }
}

/// What to do about a lock that another run has.
const LOCKED: &str = "wait for it, or pass --lock-timeout=10m; a run that was killed holds nothing";

/// Keeps other runs on this machine away from the environment.
pub(super) async fn lock_file(session: &Session, verb: &str, patience: Duration) -> Result<FileLock, Stop> {
    let folder = session.project.join(".infra").join(&session.name);
    let holder = Holder {
        who: who(),
        operation: format!("infra {verb} -e {}", session.name),
        pid: std::process::id(),
        since: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    };
    FileLock::take(&folder, &holder, patience).await.map_err(|error| match &error {
        LedgerError::Locked(_) => Stop::new(Exit::Locked, Failure::of(&error).hint(LOCKED)),
        LedgerError::Io { .. } => Failure::of(&error).into(),
    })
}

impl Run<'_> {
    async fn run(self) -> Result<Exit, Stop> {
        let session = Session::open(self.global)?;
        if let Some(reviewed) = self.reviewed.as_ref().filter(|reviewed| reviewed.environment != session.name)
        {
            let message =
                format!("the plan is for environment {}, not {}", reviewed.environment, session.name);
            return Err(Failure::new(message).into());
        }
        let expected = self.expected()?;
        let mut signals = Signals::new()?;
        let live = session.writer(self.verb).await?;
        let locks = self.lock(&session, &live).await?;
        let ended = self.locked(&session, &live, &locks, expected.as_ref(), &mut signals).await;
        live.postgres.close().await;
        locks.release().await;
        ended
    }

    /// The digest that the plan must have, from the saved plan or from the command line.
    fn expected(&self) -> Result<Option<Digest>, Stop> {
        let typed: Option<Digest> = match &self.how.expect_digest {
            Some(text) => Some(text.parse().map_err(|error| Failure::of(&error))?),
            None => None,
        };
        match (&self.reviewed, typed) {
            (Some(reviewed), Some(typed)) if reviewed.digest != typed => {
                let message = format!("the saved plan has digest {}, not {typed}", reviewed.digest);
                Err(Stop::new(Exit::Stale, Failure::new(message)))
            }
            (Some(reviewed), _) => Ok(Some(reviewed.digest.clone())),
            (None, typed) => Ok(typed),
        }
    }

    async fn lock(&self, session: &Session, live: &Live<ReadWrite>) -> Result<Locks, Stop> {
        let patience: Duration = self.how.lock_timeout.into();
        let file = lock_file(session, self.verb, patience).await?;
        let mut locks = Locks { file, clusters: Vec::new() };
        // What is destroyed as a whole need not be reachable for it.
        let clusters = if self.wanted.destroy {
            Vec::new()
        } else {
            live.running(&session.interest()).await.map_err(|error| boxed(&error))?
        };
        for (cluster, endpoint) in clusters {
            match live.postgres.lock(&cluster, &endpoint, patience).await {
                Ok(lock) => locks.clusters.push(lock),
                Err(error) => {
                    locks.release().await;
                    return Err(match &error {
                        LockError::Held { .. } => Stop::new(Exit::Locked, Failure::of(&error).hint(LOCKED)),
                        LockError::Failed { .. } => Failure::of(&error).into(),
                    });
                }
            }
        }
        Ok(locks)
    }

    async fn locked(
        &self,
        session: &Session,
        live: &Live<ReadWrite>,
        locks: &Locks,
        expected: Option<&Digest>,
        signals: &mut Signals,
    ) -> Result<Exit, Stop> {
        let (global, terminal) = (self.global, self.terminal);
        let desired = session.desired(&self.wanted);
        if !global.quiet {
            terminal.err(&format!("Reading the actual state of {}...\n", session.name));
        }
        let world = tokio::select! {
            world = session.read(live, &desired) => world?,
            signal = signals.next() => return Ok(Exit::Interrupted(signal)),
        };
        let planned = session.plan(&desired, &world, &self.wanted)?;
        let view = &planned.view;
        if expected.is_some_and(|digest| *digest != view.digest) {
            return Err(self.stale(view));
        }
        if !self.how.json {
            terminal.out(&text::render(view, style(global, terminal, self.how.summary)))?;
        }
        // Guards and what could not be read speak before anybody is asked.
        if !view.guards.is_empty() {
            return Err(refused(view));
        }
        unreadable(view)?;
        if planned.plan.is_empty() {
            if self.wanted.destroy {
                // What a run that was killed had begun to remove is listed nowhere any more.
                live.local.clear_abandoned().await.map_err(|error| Failure::of(&error))?;
            }
            self.account(&Account::default())?;
            return Ok(Exit::Done);
        }
        if let Some(exit) = self.approve(session, view, expected.is_some(), signals).await? {
            return Ok(exit);
        }
        self.carry_out(session, live, locks, planned, signals).await
    }

    fn stale(&self, now: &PlanView) -> Stop {
        let mut failure = Failure::new("the plan has changed since it was reviewed; nothing was changed");
        match &self.reviewed {
            Some(reviewed) => failure = failure.hint(difference(reviewed, now).trim_end()),
            None => failure = failure.hint(format!("its digest is now sha256:{}", now.digest)),
        }
        Stop::new(Exit::Stale, failure.hint("plan again, and have that reviewed"))
    }

    /// `Some`: it ends here.
    async fn approve(
        &self,
        session: &Session,
        view: &PlanView,
        approved: bool,
        signals: &mut Signals,
    ) -> Result<Option<Exit>, Stop> {
        if self.how.auto_approve || approved {
            return Ok(None);
        }
        let approval = if session.environment.protect || self.wanted.destroy {
            Approval::Name { environment: session.name.clone(), destroy: self.wanted.destroy }
        } else {
            Approval::Yes
        };
        let counts = &view.counts;
        let (added, destroyed) = (counts.added(), counts.destroyed());
        let summary = format!("Plan: {added} to add, {} to change, {destroyed} to destroy.", counts.update);
        let received = signals.interrupt();
        let interrupted = async {
            signals.next().await;
        };
        let answer = if self.global.may_ask() {
            prompt::ask(&approval, &summary, interrupted).await
        } else {
            Err(NotApproved::NoTerminal)
        };
        match answer {
            Ok(()) => Ok(None),
            Err(NotApproved::Interrupted) => Ok(Some(Exit::Interrupted(received.received().unwrap_or(2)))),
            Err(error) => {
                let failure = Failure::of(&error);
                Err(error.hint().into_iter().fold(failure, Failure::hint).into())
            }
        }
    }

    async fn carry_out(
        &self,
        session: &Session,
        live: &Live<ReadWrite>,
        locks: &Locks,
        Planned { plan, .. }: Planned,
        signals: &mut Signals,
    ) -> Result<Exit, Stop> {
        let progress = Progress::new(self.manner());
        let interrupt = signals.interrupt();
        let lost = Cell::new(false);
        let stopped = || lost.get() || interrupt.received().is_some();
        let mut interrupts = 0;
        let summary = {
            let work = engine::apply(&plan, live, &progress, self.how.parallelism, &stopped);
            tokio::pin!(work);
            let beat = progress.beat();
            tokio::pin!(beat);
            let watch = locks.lost();
            tokio::pin!(watch);
            loop {
                tokio::select! {
                    summary = &mut work => break summary,
                    never = &mut beat => match never {},
                    why = &mut watch, if !lost.get() => {
                        lost.set(true);
                        self.terminal.err(&format!("The lock was lost ({why}). Nothing new is started.\n"));
                    }
                    signal = signals.next() => {
                        interrupts += 1;
                        if interrupts > 1 {
                            self.terminal.err(
                                "\nTwo interrupts received. Leaving at once; what was running may or may not be done.\n\
                                 Nothing is lost: infra apply continues from what it finds.\n",
                            );
                            return Ok(Exit::Interrupted(signal));
                        }
                        self.terminal.err(
                            "\nInterrupt received.\nNothing new is started; waiting for what is running...\n",
                        );
                    }
                }
            }
        };
        let account = Account::of(&plan, &summary);
        self.account(&account)?;
        if let Some(signal) = interrupt.received() {
            return Ok(Exit::Interrupted(signal));
        }
        if !account.is_complete() || lost.get() {
            return Ok(Exit::Incomplete);
        }
        let meant = plan.steps.iter().map(|step| step.address.clone()).collect();
        self.look_again(session, live, &meant).await
    }
    fn manner(&self) -> Manner {
        match (self.how.json, self.global.quiet) {
            (true, _) => Manner::Json,
            (false, true) => Manner::Quiet,
            (false, false) => Manner::Lines { colour: self.terminal.err_colour },
        }
    }

    fn account(&self, account: &Account) -> Result<(), Stop> {
        let text = if self.how.json {
            format!("{}\n", serde_json::json!({"type": "account", "account": account}))
        } else {
            format!("\n{}", account.text(self.terminal.colour))
        };
        Ok(self.terminal.out(&text)?)
    }

    /// Postgres warns where others refuse, so only a second look proves that what was asked for is there.
    async fn look_again(
        &self,
        session: &Session,
        live: &Live<ReadWrite>,
        meant: &BTreeSet<Address>,
    ) -> Result<Exit, Stop> {
        let desired = session.desired(&self.wanted);
        let world = session.read(live, &desired).await?;
        // What was aimed at may be gone now, so this looks at everything, and then at what was meant.
        let all = Wanted { selection: engine::Selection::default(), ..self.wanted.clone() };
        let whole = session.plan(&desired, &world, &all)?.plan;
        let everything = self.wanted.selection == all.selection;
        let left: BTreeSet<&str> = (whole.steps.iter())
            .filter(|step| step.action.changes_anything() && (everything || meant.contains(&step.address)))
            .map(|step| step.address.as_str())
            .collect();
        if left.is_empty() {
            return Ok(Exit::Done);
        }
        let mut failure = Failure::new(format!(
            "{} still differ from what is declared: {}",
            left.len(),
            left.iter().take(10).copied().collect::<Vec<_>>().join(", ")
        ));
        failure = if self.wanted.destroy {
            failure.hint("run infra destroy again")
        } else {
            failure.hint(
                "some can be seen only now, or somebody else changed them meanwhile: run infra apply again",
            )
        };
        Err(Stop::new(Exit::Incomplete, failure))
    }
}

fn refused(view: &PlanView) -> Stop {
    let failures = (view.guards.iter())
        .map(|finding| Failure::new(format!("refused: {}", finding.message)).hint(finding.hint.clone()))
        .collect();
    Stop { exit: Exit::Refused, failures }
}

fn boxed(error: &engine::Error) -> Stop {
    Failure::of(error.as_ref()).into()
}
