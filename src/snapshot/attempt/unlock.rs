//! The way out: the unlock, what is done when it does not come, and what follows it.

use std::time::Duration;

use futures::future::FusedFuture;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    super::{
        Ending, Unlocked, command,
        guardian::{Process, SETTLE, protocol::Event},
        hand::by_hand,
        outcome::{Outcome, Released},
        release::{self, Gone, Ours, Trouble, Verdict},
        supervisor::{End, milliseconds},
    },
    Attempt, Heard, SILENCE, Trial, last,
};

/// An unlock takes milliseconds. After so long people are told that it is not confirmed.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long the independent look after the unlock is tried.
const VERIFY: Duration = Duration::from_secs(5);
/// How long to wait for the member to apply operations again, which is told and decides nothing.
const MOVE: Duration = Duration::from_secs(5);

impl<S: FusedFuture<Output = u8>> Trial<'_, '_, S> {
    /// Waits until the guardian has released the lock. No attempt in an error: the guardian is dead.
    pub(super) async fn released(&mut self) -> Result<Released, Option<Attempt>> {
        self.be_patient();
        let mut silence = Instant::now() + SILENCE;
        let alarm = Instant::now() + AT_ONCE;
        loop {
            let untold = self.told.is_empty().then_some(alarm);
            let limits = [Some(silence), self.patience, untold];
            let limit = limits.into_iter().flatten().min().unwrap_or(silence);
            match self.hear(limit).await {
                Heard::Event(Event::Released { gone, proof, unlocked_at, held }) => {
                    return Ok(Released { gone, proof, at: unlocked_at, held });
                }
                Heard::Event(Event::Trouble(text)) => {
                    self.trouble(&text);
                    silence = Instant::now() + SILENCE;
                }
                // It was found to be wrong before it was told to unlock.
                Heard::Event(Event::NotLocked { .. }) => {
                    let at = Timestamp::now();
                    return Ok(Released { gone: Gone::NotLocked, proof: None, at, held: None });
                }
                Heard::Event(Event::Locked(held)) => self.asked = Some(held.ours),
                Heard::Event(_) | Heard::Stop(_) => {}
                Heard::Gone => return Err(None),
                Heard::Late if self.patience.is_some_and(|patience| patience <= Instant::now()) => {
                    return Err(Some(self.unknown()));
                }
                Heard::Late if silence > Instant::now() => self.trouble("it does not confirm the unlock"),
                Heard::Late => {
                    self.guardian.kill().await;
                    return Err(None);
                }
            }
        }
    }

    /// Begins to count how long the unlock takes.
    pub(super) fn be_patient(&mut self) {
        let patience = self.run.request.unlock_patience;
        self.patience.get_or_insert_with(|| Instant::now() + patience);
    }

    pub(super) fn trouble(&mut self, text: &str) {
        if self.told.is_empty() {
            let by_hand = by_hand(&self.run.request.access, &self.name);
            self.run.alarm(format!(
                "{} MAY STAY LOCKED: {text}. It is tried again for as long as it takes; by hand: {by_hand}",
                self.name
            ));
        } else if self.told != text {
            self.run.alarm(format!("{} MAY STAY LOCKED: {text}", self.name));
        }
        text.clone_into(&mut self.told);
        self.be_patient();
    }

    /// It is not known whether the lock is gone. Whoever is at it goes on.
    pub(super) fn unknown(&mut self) -> Attempt {
        self.run.manifest.unlocked = Unlocked::Unknown;
        let text = format!(
            "{} may be locked still: the unlock was not confirmed within {:?}; the guardian goes on trying{}",
            self.name,
            self.run.request.unlock_patience,
            if self.told.is_empty() { String::new() } else { format!(" ({})", self.told) }
        );
        let mut end = End::new(Ending::StillLocked, text);
        end.hint = Some(format!("unlock it by hand: {}", by_hand(&self.run.request.access, &self.name)));
        Attempt::Final(Some(end))
    }

    /// Releases from here what the guardian can release no more.
    pub(super) async fn guardian_died(&mut self, granted: bool) -> Attempt {
        let died = "the guardian died";
        let Some(ours) = self.asked.clone() else {
            return last(Ending::Failed, format!("{died} before anything was locked"));
        };
        self.run.alarm(format!("{died}: unlocking {} from here", self.name));
        // Its request may be on its way to the member still.
        let settle = if granted { Duration::ZERO } else { SETTLE };
        self.patience = None;
        self.be_patient();
        let (send, mut troubles) = tokio::sync::mpsc::unbounded_channel::<Trouble>();
        let tell = |trouble| drop(send.send(trouble));
        let member = self.member.clone();
        let release = release::release(&member, ours.clone(), None, settle, &|| (), &tell);
        tokio::pin!(release);
        let limit = self.patience.unwrap_or_else(Instant::now);
        loop {
            tokio::select! {
                gone = &mut release => {
                    self.run.manifest.unlocked_at = Some(Timestamp::now());
                    self.run.manifest.unlocked = Unlocked::Verified;
                    if self.prepared.journal.clear().is_err() {
                        self.run.step("the journal could not be removed; the next run will find it void");
                    }
                    if let (Some(signal), false) = (self.signal, granted) {
                        return last(Ending::Interrupted(signal), "interrupted while the lock was waited for");
                    }
                    let left = matches!(gone, Gone::Released { left } if left > 0);
                    let more = if left { "; somebody else has it locked still" } else { "" };
                    return last(Ending::ConsistencyLost, format!("{died}; the lock was released from here{more}"));
                }
                Some(trouble) = troubles.recv() => self.trouble(&trouble.0),
                () = sleep_until(limit) => {
                    self.hand_over(ours).await;
                    return self.unknown();
                }
            }
        }
    }

    /// Starts a guardian that does nothing but release, and goes on when we are gone.
    pub(super) async fn hand_over(&mut self, ours: Ours) {
        let Ok(guardian) = Process::start(&self.prepared.turn, &self.run.hidden, None) else { return };
        self.start.release = Some(ours);
        self.start.group = None;
        guardian.begin(&self.start).await;
    }

    /// An independent look at whether our lock is gone. The guardian has read it back already, so that a member that
    /// cannot be asked from here is believed to be unlocked.
    pub(super) async fn verify(&mut self, ours: &Ours) -> bool {
        let until = Instant::now() + VERIFY;
        loop {
            match release::look(&self.member).await {
                Ok((process, state)) => match ours.judge(process.as_deref(), &state) {
                    Verdict::Ours { .. } if Instant::now() > until => {
                        self.trouble("the guardian has read back that it is unlocked, but it is not");
                        return false;
                    }
                    Verdict::Ours { .. } | Verdict::Unclear if Instant::now() <= until => {}
                    _ => return true,
                },
                Err(_) if Instant::now() > until => return true,
                Err(_) => {}
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the command if it runs still, and keeps what it has said.
    pub(super) async fn end_command(&mut self, outcome: &Outcome) {
        let status = if let Outcome::Ended(Ok(status)) = outcome {
            Some(*status)
        } else {
            if self.opened {
                self.run.step("ending the snapshot command");
            }
            self.gate.end().await
        };
        if !self.opened {
            return;
        }
        let output = self.gate.output().await;
        let manifest = &mut self.run.manifest;
        if let Some(status) = status {
            (manifest.exit_code, manifest.signal) = command::ending(status);
        }
        manifest.output = output.both.text();
        manifest.output_omitted_bytes = output.both.omitted;
        manifest.snapshot_ids = command::snapshot_ids(&output.stdout.text());
    }

    /// Whether replication goes on, which is told and decides nothing.
    pub(super) async fn moves_again(&mut self) {
        let since = Instant::now();
        let applied = self.run.manifest.optime;
        let primary = self.prepared.primary().and_then(|name| self.prepared.members.get(&name).cloned());
        while since.elapsed() < MOVE {
            let own = self.member.hello().await.ok().and_then(|hello| hello.applied);
            if own > applied {
                let time = since.elapsed();
                self.run.manifest.moved_after_ms = Some(milliseconds(time));
                return self.run.step(format!("{} applies operations again", self.name));
            }
            if let Some(primary) = &primary
                && let Ok(hello) = primary.hello().await
                && hello.applied.is_some()
                && hello.applied == own
            {
                return self.run.step(format!("{} has all operations of the primary", self.name));
            }
            tokio::select! {
                _ = &mut self.stop => return,
                () = sleep(Duration::from_millis(50)) => {}
            }
        }
        self.run.step(format!("{} was not seen to apply operations within {MOVE:?}", self.name));
    }
}
