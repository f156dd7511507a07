//! `infra apply` and `infra destroy`: plan, show, ask, do, and look whether it is done.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use super::{
    Exit, Stop, approval,
    interrupt::Signals,
    locks::Locks,
    plan::{saved, style, unreadable},
    record::{self, HISTORY, Writing},
    session::{Planned, Session, Wanted},
};
use crate::{
    cli::{self, Global, How},
    engine::{self, Digest, Outcome},
    model::Address,
    providers::{ReadWrite, ledger::Ledger, postgres::SqlError},
    report::{Account, PlanView, comment::Status, difference, docs, history::Approved, text},
    resources::{Live, mongo::snapshot::still_locked},
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
    let run = Run { global, how: &arguments.how, terminal, wanted, reviewed, approved: None, verb: "apply" };
    Box::pin(run.run()).await
}

pub(super) async fn destroy(
    global: &Global,
    arguments: &cli::Destroy,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let wanted = Wanted::new(&arguments.shape, true, &arguments.how.allow_destroy);
    let run = Run {
        global,
        how: &arguments.how,
        terminal,
        wanted,
        reviewed: None,
        approved: None,
        verb: "destroy",
    };
    Box::pin(run.run()).await
}

struct Run<'a> {
    global: &'a Global,
    how: &'a How,
    terminal: &'a Terminal,
    wanted: Wanted,
    /// The saved plan that is to be applied.
    reviewed: Option<PlanView>,
    /// The comment whose plan is to be applied.
    approved: Option<approval::Approval>,
    verb: &'static str,
}

/// What a run has in hand.
struct Held<'a> {
    session: &'a Session,
    live: &'a Live<ReadWrite>,
    ledger: &'a Ledger<ReadWrite>,
}

/// How what comes before the first change has ended.
enum Prepared {
    Ended(Exit),
    Approved(Box<Planned>, Approved),
}

impl Run<'_> {
    async fn run(mut self) -> Result<Exit, Stop> {
        let session = Session::open(self.global)?;
        if let Some(reviewed) = self.reviewed.as_ref().filter(|reviewed| reviewed.environment != session.name)
        {
            let message =
                format!("the plan is for environment {}, not {}", reviewed.environment, session.name);
            return Err(Failure::new(message).into());
        }
        if self.how.expect_digest_from_pr {
            self.approved = Some(Box::pin(approval::Approval::find(&self.how.review, &session.name)).await?);
        }
        let expected = self.expected()?;
        let mut signals = Signals::new()?;
        let live = session.writer(self.verb).await?;
        let ledger = session.ledger_to_write(live.aws.as_ref()).await?;
        let patience: Duration = self.how.lock_timeout.into();
        let mut locks = Locks::take(&session, &ledger, self.verb, patience, self.terminal).await?;
        let held = Held { session: &session, live: &live, ledger: &ledger };
        // What is destroyed as a whole need not be reachable for it.
        let locked =
            if self.wanted.destroy { Ok(()) } else { locks.clusters(&session, &live, patience).await };
        let ended = match locked {
            Ok(()) => self.locked(&held, &locks, expected.as_ref(), &mut signals).await,
            Err(stop) => Err(stop),
        };
        live.postgres.close().await;
        locks.release().await;
        if let Err(stop) = &ended {
            let why: Vec<&str> = stop.failures.iter().map(|failure| failure.summary.as_str()).collect();
            match stop.exit {
                Exit::Refused => self.tell(&Status::Refused(&why.join("; "))).await,
                Exit::Incomplete => self.tell(&Status::Differs(&why.join("; "))).await,
                _ => {}
            }
        }
        ended
    }

    /// Says it on the pull request, if the plan was approved there.
    async fn tell(&self, status: &Status<'_>) {
        if let Some(approved) = &self.approved {
            approved.tell(self.terminal, status).await;
        }
    }

    /// The digest that the plan must have, from the saved plan or from the command line.
    fn expected(&self) -> Result<Option<Digest>, Stop> {
        let typed: Option<Digest> = match &self.how.expect_digest {
            Some(text) => Some(text.parse().map_err(|error| Failure::of(&error))?),
            None => self.approved.as_ref().map(|approved| approved.digest.clone()),
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

    async fn locked(
        &self,
        held: &Held<'_>,
        locks: &Locks,
        expected: Option<&Digest>,
        signals: &mut Signals,
    ) -> Result<Exit, Stop> {
        let Held { session, live, ledger } = *held;
        record::tell_of_a_killed_run(ledger, self.terminal).await?;
        let prepared = tokio::select! {
            prepared = self.prepare(session, live, expected, signals) => prepared?,
            why = locks.lost() => {
                let message = format!("the lock was lost ({why}); nothing was changed");
                return Err(Stop::new(Exit::Locked, Failure::new(message).hint("run it again")));
            }
        };
        let (planned, approval) = match prepared {
            Prepared::Ended(exit) => return Ok(exit),
            Prepared::Approved(planned, approval) => (planned, approval),
        };
        // Nothing was there, and nothing is left of it.
        if planned.plan.is_empty() && self.wanted.destroy && session.ledger_goes_with_it() {
            self.account(&Account::default())?;
            return self.forget(ledger).await;
        }
        let holder = locks.holder.clone();
        let mut writing = Writing::begin(ledger, session, holder, approval, &planned.view).await?;
        let ended = if planned.plan.is_empty() {
            writing.account(&Account::default());
            self.account(&Account::default()).map(|()| Exit::Done)
        } else {
            self.carry_out(session, live, locks, *planned, signals, &mut writing).await
        };
        let ended = writing.end(ended).await?;
        if ended == Exit::Done && self.wanted.destroy && session.ledger_goes_with_it() {
            return self.forget(ledger).await;
        }
        Ok(ended)
    }

    /// `infra destroy` of what is on this machine leaves nothing behind.
    async fn forget(&self, ledger: &Ledger<ReadWrite>) -> Result<Exit, Stop> {
        ledger.clear(HISTORY).await.map_err(|error| Failure::of(&error))?;
        Ok(Exit::Done)
    }

    /// All that comes before the first change.
    async fn prepare(
        &self,
        session: &Session,
        live: &Live<ReadWrite>,
        expected: Option<&Digest>,
        signals: &mut Signals,
    ) -> Result<Prepared, Stop> {
        let (global, terminal) = (self.global, self.terminal);
        let desired = session.desired(&self.wanted);
        if !global.quiet {
            terminal.err(&format!("Reading the actual state of {}...\n", session.name));
        }
        let world = tokio::select! {
            world = session.read(live, &desired) => world?,
            signal = signals.next() => return Ok(Prepared::Ended(Exit::Interrupted(signal))),
        };
        let planned = session.plan(&desired, &world, &self.wanted)?;
        let view = &planned.view;
        let stale = expected.is_some_and(|digest| *digest != view.digest);
        // Whoever has nothing to compare it with must see all of it.
        let told_by_difference = stale && self.reviewed.is_some();
        if !self.how.json && !told_by_difference {
            terminal.out(&text::render(view, style(global, terminal, self.how.summary)))?;
        }
        if stale {
            return Err(self.stale(view).await);
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
            self.tell(&Status::Ended { account: &Account::default(), planned: 0 }).await;
            return Ok(Prepared::Approved(Box::new(planned), Approved::Nothing));
        }
        if expected.is_some() {
            let by = self.approved.as_ref().map_or(Approved::Digest, |on| Approved::PullRequest(on.number));
            return Ok(Prepared::Approved(Box::new(planned), by));
        }
        if self.how.auto_approve {
            return Ok(Prepared::Approved(Box::new(planned), Approved::AutoApprove));
        }
        Ok(match self.approve(session, view, signals).await? {
            Some(exit) => Prepared::Ended(exit),
            None => Prepared::Approved(Box::new(planned), Approved::Asked),
        })
    }

    async fn stale(&self, now: &PlanView) -> Stop {
        let mut failure = Failure::new("the plan has changed since it was reviewed; nothing was changed");
        let differs = self.approved.as_ref().map(|approved| approved.difference(now)).unwrap_or_default();
        self.tell(&Status::Stale(&differs)).await;
        match &self.reviewed {
            Some(reviewed) => failure = failure.hint(difference(reviewed, now).trim_end()),
            None if !differs.is_empty() => failure = failure.hint(differs.join("\n")),
            None => failure = failure.hint(format!("its digest is now sha256:{}", now.digest)),
        }
        Stop::new(Exit::Stale, failure.hint("plan again, and have that reviewed").see(docs::STALE))
    }

    /// `Some`: it ends here.
    async fn approve(
        &self,
        session: &Session,
        view: &PlanView,
        signals: &mut Signals,
    ) -> Result<Option<Exit>, Stop> {
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
        writing: &mut Writing<'_>,
    ) -> Result<Exit, Stop> {
        self.tell(&Status::Applying).await;
        let progress = Progress::new(self.manner());
        let interrupt = signals.interrupt();
        let lost = Cell::new(false);
        let stopped = || lost.get() || locks.over() || interrupt.received().is_some();
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
                        let message = format!("The lock was lost ({why}). Nothing new is started.");
                        self.terminal.err(&format!("{message}\n"));
                        writing.note(message);
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
        if locks.over() && !lost.get() {
            let message = "The lock was lost (this process stood still). Nothing new was started.";
            self.terminal.err(&format!("{message}\n"));
            writing.note(message.into());
        }
        let account = Account::of(&plan, &summary);
        writing.account(&account);
        self.account(&account)?;
        self.tell(&Status::Ended { account: &account, planned: summary.outcomes.len() }).await;
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(error) if still_locked(error));
        if summary.outcomes.values().any(failed) {
            return Ok(Exit::StillLocked);
        }
        if let Some(signal) = interrupt.received() {
            return Ok(Exit::Interrupted(signal));
        }
        let elsewhere = |outcome: &Outcome| matches!(outcome, Outcome::Failed(error) if is_elsewhere(error));
        if account.applied.is_empty() && summary.outcomes.values().any(elsewhere) {
            return Ok(Exit::Refused);
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
            // By now it may be time for another snapshot.
            .filter(|step| step.action.changes_anything() && !step.action.time_driven())
            .filter(|step| everything || meant.contains(&step.address))
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

/// The cluster was another one by then.
fn is_elsewhere(error: &engine::Error) -> bool {
    matches!(error.downcast_ref(), Some(SqlError::Elsewhere { .. }))
}

fn refused(view: &PlanView) -> Stop {
    let failures = (view.guards.iter())
        .map(|finding| {
            Failure::new(format!("refused: {}", finding.message))
                .hint(finding.hint.clone())
                .see(docs::REFUSED)
        })
        .collect();
    Stop { exit: Exit::Refused, failures }
}
