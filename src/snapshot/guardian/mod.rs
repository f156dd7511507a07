//! The guardian: the second process, and the only one that locks and unlocks.
//!
//! A lock outlives the client that took it, so a process that takes it alone would, when it dies, leave the member locked.
//! The guardian is started before the lock, in a session of its own. It releases the lock when it is told to, when the
//! supervisor dies, when `max_lock` has passed, and when the primary is lost.

mod ended;
mod held;
mod process;
pub(super) mod protocol;
mod watch;

use std::{
    cell::{Cell, RefCell},
    fs::File,
    io,
    os::{fd::AsFd as _, unix::net::UnixStream},
    time::Duration,
};

pub(super) use ended::SEEN;
pub(super) use held::BEGINNING;
use held::Until;
use jiff::Timestamp;
pub(super) use process::Process;
use protocol::{Event, Hearing, NotLocked, Order, Speech, Start};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use super::{
    command,
    journal::{Journal, Record},
    release::{self, Gone, Ours, Seen, Trouble, Verdict},
};
use crate::{
    model::mongo_uri::Host,
    providers::mongo::{Access, Granted, Member, MongoError},
};

/// Servers that know a timeout for the lock keep it themselves, and answer a little later than it.
const GRACE: Duration = Duration::from_secs(1);

/// Writing out what is dirty may take long, and the lock writes it all the same. It waits too where the lock would have to,
/// but without a limit that the server knows.
const FLUSH: Duration = Duration::from_secs(5);

/// How long a member must be seen unlocked where a lock request may still be on its way to it.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// The same trouble is told again after so long.
const REPEAT: Duration = Duration::from_secs(3);

/// Between two looks at a lock that is waited for, and at a member that does not answer.
const WAITING: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(200);

/// `LockTimeout`: the server itself gave up waiting.
const LOCK_TIMEOUT: &str = "Fsync lock timed out";

/// Runs as the guardian: its standard input is the socket to the supervisor, its standard output the gate. Returns when nothing is
/// left to guard.
pub async fn guard() -> io::Result<()> {
    // A terminal that is closed, and Ctrl-C in it, reach whole sessions.
    let _ = nix::unistd::setsid();
    let _ignored = ignore_signals()?;
    let gate = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdout(File::open("/dev/null")?)?;
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let (hearing, speech) = tokio::net::UnixStream::from_std(socket)?.into_split();
    let (mut hearing, speech) = (Hearing::new(hearing), Speech::new(speech));
    let Some(start) = hearing.next::<Start>().await else { return Ok(()) };
    match Guardian::connect(&start, gate, hearing, speech).await {
        Ok(guardian) => guardian.run(&start).await,
        Err((message, speech)) => speech.say(&Event::NotReady(message)).await,
    }
    Ok(())
}

/// Handled by doing nothing, for as long as these live.
fn ignore_signals() -> io::Result<Vec<Signal>> {
    [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()]
        .into_iter()
        .map(signal)
        .collect()
}

struct Guardian {
    /// What the lock is asked for with.
    lock: Member,
    /// What looks and unlocks, since the other one may be busy waiting.
    unlock: Member,
    primary: Option<Member>,
    hearing: Hearing,
    speech: Speech,
    journal: Journal,
    /// Lets the command begin.
    gate: File,
    /// The process group of the snapshot command, for as long as it may run.
    group: Option<i32>,
    supervisor_gone: bool,
}

/// A lock that was asked for.
struct Asked {
    ours: Ours,
    at: Instant,
    /// Of the primary that the member follows.
    term: Option<i64>,
    answer: JoinHandle<Result<Granted, MongoError>>,
}

impl Guardian {
    async fn connect(
        start: &Start,
        gate: File,
        hearing: Hearing,
        speech: Speech,
    ) -> Result<Self, (String, Speech)> {
        let members = || -> Result<_, String> {
            let access = start.login.access();
            let primary = start.primary.as_deref().map(|name| member(&access, name)).transpose()?;
            Ok((member(&access, &start.member)?, member(&access, &start.member)?, primary))
        };
        let (lock, unlock, primary) = match members() {
            Ok(members) => members,
            Err(message) => return Err((message, speech)),
        };
        // A guardian that only releases has all the time that it takes.
        if start.release.is_none()
            && let Err(error) = log_in(&lock, &unlock, primary.as_ref()).await
        {
            return Err((error.brief(), speech));
        }
        let journal = Journal::at(start.journal.clone());
        let group = start.group;
        Ok(Self { lock, unlock, primary, hearing, speech, journal, gate, group, supervisor_gone: false })
    }

    async fn run(mut self, start: &Start) {
        if let Some(ours) = &start.release {
            self.release(ours.clone(), None, SETTLE).await;
            return;
        }
        self.speech.say(&Event::Ready).await;
        match self.order().await {
            Some(Order::Lock) => self.lock(start).await,
            Some(Order::Done) => return,
            _ => {}
        }
        self.finish().await;
    }

    /// The next order of somebody who lives.
    async fn order(&mut self) -> Option<Order> {
        let order = self.hearing.next().await;
        self.supervisor_gone |= order.is_none();
        order
    }

    /// Stays until everything is done, since the supervisor may die before it has ended the command.
    async fn finish(mut self) {
        while !self.supervisor_gone {
            match self.order().await {
                Some(Order::Done) => return,
                Some(Order::CommandEnded) => self.group = None,
                Some(Order::Lock | Order::Unlock) | None => {}
            }
        }
        if let Some(group) = self.group {
            command::end_group(group).await;
        }
    }

    async fn lock(&mut self, start: &Start) {
        match self.ask(start).await {
            Ok(asked) => self.wait(start, asked).await,
            Err((why, message)) => self.speech.say(&Event::NotLocked { why, message }).await,
        }
    }

    /// Looks a last time, remembers, and asks for the lock.
    async fn ask(&mut self, start: &Start) -> Result<Asked, (NotLocked, String)> {
        let member = self.lock.clone();
        tokio::select! {
            biased;
            _ = self.order() => return Err((NotLocked::Stopped, "stopped before anything was locked".into())),
            () = flush(&member, start.lock_timeout) => {}
        }
        let unfit = |error: MongoError| (NotLocked::Unfit, error.brief());
        let primary = async {
            let Some(primary) = &self.primary else { return false };
            primary.hello().await.is_ok_and(|hello| hello.writable)
        };
        let looks = async { futures::try_join!(self.lock.hello(), self.unlock.lock_state()) };
        let (looks, primary) = futures::join!(looks, primary);
        let (hello, state) = looks.map_err(unfit)?;
        if !primary {
            return Err((NotLocked::NoPrimary, "the set has no primary any more".into()));
        }
        if !hello.secondary {
            return Err((NotLocked::Unfit, format!("{} is no secondary any more", start.member)));
        }
        if hello.me.as_ref().is_some_and(|me| *me != start.member) {
            let me = hello.me.unwrap_or_default();
            return Err((NotLocked::Unfit, format!("{} leads to {me}", start.member)));
        }
        if state.locked() {
            return Err((NotLocked::Foreign, format!("{} is locked by somebody else", start.member)));
        }
        let comment = comment(&start.run);
        let ours = Ours { process: hello.process, opid: None, before: state.highest_opid, comment };
        self.journal.write(&record(start, &ours), true).map_err(|error| {
            let path = self.journal.path().display();
            (NotLocked::Journal, format!("{path}: what is locked could not be remembered there: {error}"))
        })?;
        self.speech.say(&Event::Locking(ours.clone())).await;
        let (comment, limit) = (ours.comment.clone(), start.lock_timeout);
        // It runs by itself: to drop it would not take the request back, and its answer is worth having.
        let answer =
            tokio::spawn(async move { member.lock(&comment, limit, Duration::from_hours(24)).await });
        let term = hello.applied.map(|applied| applied.term);
        Ok(Asked { ours, at: Instant::now(), term, answer })
    }

    async fn wait(&mut self, start: &Start, mut asked: Asked) {
        // Where it is not certain that the server has answered no, its yes may come later.
        let mut settle = SETTLE;
        let deadline = asked.at + start.max_lock;
        let process = asked.ours.process.clone();
        let (unlock, primary) = (self.unlock.clone(), self.primary.clone());
        let command = ended::Command::of(start.group);
        let lost = watch::lost(&unlock, primary.as_ref(), process.as_deref());
        tokio::pin!(lost);
        let (why, message) = loop {
            tokio::select! {
                // What is not wanted any more is not begun.
                biased;
                _ = self.order() => break (NotLocked::Stopped, "stopped while the lock was waited for".into()),
                answer = &mut asked.answer => match answer {
                    Ok(Ok(granted)) => {
                        let until = Until { deadline, command, lost };
                        return self.granted(start, asked, granted, until).await;
                    }
                    Ok(Err(error)) => {
                        if matches!(error, MongoError::Command { .. } | MongoError::Unauthorized { .. }) {
                            settle = Duration::ZERO;
                        }
                        break refusal(&error);
                    }
                    Err(error) => break (NotLocked::Unfit, error.to_string()),
                },
                () = sleep_until((asked.at + start.lock_timeout + GRACE).min(deadline)) => {
                    let limit = start.lock_timeout;
                    break (NotLocked::Timeout, format!("{} did not grant the lock within {limit:?}", start.member));
                }
                lost = &mut lost => break (NotLocked::PrimaryLost, lost),
                opid = opid_of_waiting(&unlock, &asked.ours), if asked.ours.opid.is_none() => {
                    asked.ours.opid = Some(opid);
                    // Whoever finds the lock when we are dead now knows it by its number.
                    let _ = self.journal.write(&record(start, &asked.ours), false);
                    self.speech.say(&Event::Locking(asked.ours.clone())).await;
                }
            }
        };
        self.release(asked.ours, None, settle).await;
        asked.answer.abort();
        self.speech.say(&Event::NotLocked { why, message }).await;
    }

    /// Releases, and forgets what stands in the journal. Says what keeps it from doing so. Also when the server said that it
    /// is done. `seen`: how the member is at this moment, if that is known.
    async fn release(
        &mut self,
        ours: Ours,
        seen: Option<Seen>,
        settle: Duration,
    ) -> (Gone, Timestamp, Instant) {
        let (send, mut troubles) = mpsc::unbounded_channel::<Trouble>();
        let trouble = |trouble| drop(send.send(trouble));
        let told: RefCell<Option<(Trouble, Instant)>> = RefCell::default();
        let tell = async {
            while let Some(trouble) = troubles.recv().await {
                let known = (told.borrow().as_ref())
                    .is_some_and(|(last, at)| *last == trouble && at.elapsed() < REPEAT);
                if !known {
                    self.speech.say(&Event::Trouble(trouble.0.clone())).await;
                    told.replace(Some((trouble, Instant::now())));
                }
            }
            std::future::pending().await
        };
        let released: Cell<Option<(Timestamp, Instant)>> = Cell::new(None);
        let answered = || released.set(Some((Timestamp::now(), Instant::now())));
        let gone = tokio::select! {
            gone = release::release(&self.unlock, ours, seen, settle, &answered, &trouble) => gone,
            never = tell => never,
        };
        let (at, until) = released.get().unwrap_or_else(|| (Timestamp::now(), Instant::now()));
        // A record that stays is found to speak of no lock by the next run.
        let _ = self.journal.clear();
        (gone, at, until)
    }
}

/// Writes out what is dirty. A member that has just become one refuses to for a moment, as it would refuse the lock, which
/// must not be tried again. Any other failure the lock will tell.
async fn flush(member: &Member, patience: Duration) {
    let since = Instant::now();
    while let Err(MongoError::Command { .. }) = member.flush(FLUSH.min(patience)).await
        && since.elapsed() < patience
    {
        sleep(PAUSE).await;
    }
}

/// The server's number for our lock while it is waited for.
async fn opid_of_waiting(member: &Member, ours: &Ours) -> i64 {
    loop {
        sleep(WAITING).await;
        if let Ok((process, state)) = release::look(member).await
            && let Verdict::Ours { opid: Some(opid), .. } = ours.judge(process.as_deref(), &state)
        {
            return opid;
        }
    }
}

/// Everything that is asked at once later gets its connection now.
async fn log_in(lock: &Member, unlock: &Member, primary: Option<&Member>) -> Result<(), MongoError> {
    let primary = async {
        match primary {
            Some(primary) => primary.hello().await.map(drop),
            None => Ok(()),
        }
    };
    let (lock, unlock) = (lock.hello(), async { futures::try_join!(unlock.hello(), unlock.lock_state()) });
    futures::try_join!(lock, unlock, primary).map(drop)
}

fn member(access: &Access, name: &str) -> Result<Member, String> {
    let host: Host = name.parse().map_err(|error: crate::model::mongo_uri::BadHost| error.to_string())?;
    Member::new(access, &host).map_err(|error| error.brief())
}

/// What shows in `currentOp` for as long as a lock is waited for.
pub(super) fn comment(run: &str) -> String {
    format!("infra:{run}")
}

fn record(start: &Start, ours: &Ours) -> Record {
    Record {
        run: start.run.clone(),
        member: start.member.clone(),
        since: Timestamp::now(),
        pid: std::process::id(),
        ours: ours.clone(),
    }
}

/// What an error in answer to the lock command means. Whether there is a lock is not said by it.
fn refusal(error: &MongoError) -> (NotLocked, String) {
    let text = error.brief();
    let why = if text.contains(LOCK_TIMEOUT) { NotLocked::Timeout } else { NotLocked::Unfit };
    (why, text)
}
