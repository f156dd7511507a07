//! One hand at a time, for as long as it shows signs of life.
//!
//! In a folder it is a lock of the kernel, which ends with its holder. In a bucket it is a document that its holder writes anew
//! all the while, and every write goes through only if the document is still the one that was read. Clocks of two machines
//! are never compared: a lease is taken from another only by who has himself seen its document unchanged for as long as
//! the holder was given, by a clock that nobody can set. The times in the document only say whether that may be worth a wait.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use object_store::PutMode;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{FileLock, Holder, Ledger, LedgerError, Place, Version, file_lock};
use crate::providers::ReadWrite;

/// A holder that shows no sign of life for so long has lost it.
pub(super) const LIFE: Duration = Duration::from_secs(90);
/// Signs of life within that time: some may be lost.
const BEATS: u32 = 4;
/// The longest that somebody who waits for it waits until he asks again.
const PAUSE: Duration = Duration::from_millis(500);
/// A write that is refused although the lease is ours is tried again so often, with what stands there.
const TRIES: usize = 3;
/// What is not released within this time ends by itself.
const RELEASE: Duration = Duration::from_secs(20);

/// What stands in the bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Document {
    /// Of one taking: the same holder that takes it again has another.
    id: String,
    holder: Holder,
    since: Timestamp,
    /// The last sign of life, by the holder's clock.
    beat: Timestamp,
    /// How long the holder may be silent: his own, whatever others would grant.
    life_milliseconds: u64,
    released: bool,
}

impl Document {
    fn life(&self) -> Duration {
        Duration::from_millis(self.life_milliseconds)
    }

    /// By clocks that may be wrong.
    fn looks_dead(&self) -> bool {
        self.beat + self.life() < Timestamp::now()
    }
}

/// Held until it is released. One that is dropped in a bucket ends when its time is over.
#[derive(Debug)]
pub struct Lease(Kind);

#[derive(Debug)]
enum Kind {
    Folder(FileLock),
    Bucket(Beating),
}

#[derive(Debug)]
struct Beating {
    lost: watch::Receiver<Option<String>>,
    until: Until,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// When the lease ends unless it is written anew, by the clock of this machine, which does not jump.
#[derive(Clone, Debug)]
struct Until(Arc<Mutex<Instant>>);

impl Until {
    fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Lease {
    /// Ends when it has been lost, with the reason.
    pub async fn lost(&self) -> String {
        match &self.0 {
            Kind::Folder(_) => std::future::pending().await,
            Kind::Bucket(beating) => {
                let mut lost = beating.lost.clone();
                match lost.wait_for(Option::is_some).await.map(|why| why.clone()) {
                    Ok(Some(why)) => why,
                    _ => std::future::pending().await,
                }
            }
        }
    }

    /// Whether its time is over, although nobody may have noticed yet: this process may have been stopped for a while.
    pub fn is_over(&self) -> bool {
        match &self.0 {
            Kind::Folder(_) => false,
            Kind::Bucket(beating) => Instant::now() >= beating.until.get(),
        }
    }

    pub async fn release(self) {
        match self.0 {
            Kind::Folder(lock) => lock.release(),
            Kind::Bucket(mut beating) => {
                if let Some(stop) = beating.stop.take() {
                    let _ = stop.send(());
                }
                let _ = timeout(RELEASE, &mut beating.task).await;
            }
        }
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn document(name: &str) -> String {
    format!("leases/{name}.json")
}

/// Who has the lease, as far as can be told without taking it.
pub(super) async fn holder<M>(ledger: &Ledger<M>, name: &str) -> Result<Option<Holder>, LedgerError> {
    if let Place::Folder { path, .. } = &ledger.place {
        return Ok(file_lock::holder(&path.join("leases").join(name)));
    }
    let there = ledger.read::<Document>(&document(name)).await?;
    Ok(there.filter(|there| !there.released && !there.looks_dead()).map(|there| there.holder))
}

pub(super) async fn take(
    ledger: &Ledger<ReadWrite>,
    name: &str,
    holder: &Holder,
    patience: Duration,
) -> Result<Lease, LedgerError> {
    if let Place::Folder { path, around } = &ledger.place {
        let path = path.join("leases").join(name);
        // The folder of leases goes with the last of them.
        return FileLock::at(&path, 1 + around, holder, patience).await.map(|lock| Lease(Kind::Folder(lock)));
    }
    let begun = Instant::now();
    let mut watch = Watch::default();
    loop {
        // Others may have seen ours from then on.
        let asked = Instant::now();
        let other = match try_once(ledger, &document(name), holder, &mut watch).await? {
            // One whose answer took longer than it lasts may be another's already.
            Ok((ours, _)) if asked.elapsed() >= ledger.life => Some(ours),
            Ok((ours, version)) => {
                let until = Until(Arc::new(Mutex::new(asked + ledger.life)));
                let kept = Kept { ledger: ledger.clone(), name: document(name), ours, version, until };
                return Ok(Lease(Kind::Bucket(beat(kept))));
            }
            Err(other) => other,
        };
        let hope = other.as_ref().is_some_and(|other| other.looks_dead() && !watch.alive);
        if begun.elapsed() >= patience && !hope {
            let holder = other.map(|other| other.holder.to_string());
            let holder = holder.unwrap_or_else(|| "whoever was faster; try again".into());
            return Err(LedgerError::Taken { name: name.into(), holder });
        }
        let pause = PAUSE.min(ledger.life / 20);
        sleep(if hope { pause } else { pause.min(patience) }).await;
    }
}

/// What one who waits has seen of the holder.
#[derive(Default)]
struct Watch {
    seen: Option<(Version, Instant)>,
    /// The document has changed meanwhile.
    alive: bool,
}

impl Watch {
    /// How long this version has stood there while we looked.
    fn stood(&mut self, version: &Version) -> Duration {
        match &self.seen {
            Some((seen, since)) if seen == version => since.elapsed(),
            before => {
                self.alive = before.is_some();
                self.seen = Some((version.clone(), Instant::now()));
                Duration::ZERO
            }
        }
    }
}

/// Takes it if it is free, or else says who has it.
async fn try_once(
    ledger: &Ledger<ReadWrite>,
    name: &str,
    holder: &Holder,
    watch: &mut Watch,
) -> Result<Result<(Document, Version), Option<Document>>, LedgerError> {
    let now = Timestamp::now();
    let ours = Document {
        id: identity(holder, now),
        holder: holder.clone(),
        since: now,
        beat: now,
        life_milliseconds: ledger.life.as_millis().try_into().unwrap_or(u64::MAX),
        released: false,
    };
    let mode = match ledger.bytes(name).await? {
        None => PutMode::Create,
        Some((bytes, version)) => {
            let there = ledger.parse::<Document>(name, &bytes)?;
            let stood = watch.stood(&version);
            if !there.released && stood < there.life() {
                return Ok(Err(Some(there)));
            }
            version.update()
        }
    };
    let bytes = ledger.render(name, &ours)?;
    if let Some(version) = ledger.put(name, &bytes, mode).await? {
        return Ok(Ok((ours, version)));
    }
    // Somebody was faster; or this write was sent twice, and found itself.
    Ok(match ledger.bytes(name).await? {
        Some((there, version)) if there == bytes => Ok((ours, version)),
        Some((there, _)) => Err(ledger.parse(name, &there).ok()),
        None => Err(None),
    })
}

fn beat(mut kept: Kept) -> Beating {
    let (lose, lost) = watch::channel(None);
    let (stop, stopped) = oneshot::channel();
    let until = kept.until.clone();
    let task = tokio::spawn(async move {
        tokio::select! {
            why = kept.keep() => {
                lose.send_replace(Some(why));
            }
            _ = stopped => {}
        }
        // Whether it is still ours is asked by the write itself.
        kept.release().await;
    });
    Beating { lost, until, stop: Some(stop), task }
}

struct Kept {
    ledger: Ledger<ReadWrite>,
    name: String,
    ours: Document,
    version: Version,
    until: Until,
}

impl Kept {
    /// Writes it anew until that fails for good, and says why.
    async fn keep(&mut self) -> String {
        let life = self.ledger.life;
        let pause = life / BEATS;
        loop {
            sleep(pause).await;
            let begun = Instant::now();
            let left = self.until.get().saturating_duration_since(begun);
            let next = Document { beat: Timestamp::now(), ..self.ours.clone() };
            let why = match timeout(left, self.write(next)).await {
                Ok(Ok(true)) => {
                    self.until.set(begun + life);
                    continue;
                }
                Ok(Ok(false)) => return format!("another run has taken {}", self.name),
                Ok(Err(error)) => crate::model::causes(&error),
                Err(_) => "the ledger does not answer".into(),
            };
            if Instant::now() + pause >= self.until.get() {
                return why;
            }
        }
    }

    async fn release(&mut self) {
        let next = Document { released: true, ..self.ours.clone() };
        let _ = self.write(next).await;
    }

    async fn write(&mut self, next: Document) -> Result<bool, LedgerError> {
        let bytes = self.ledger.render(&self.name, &next)?;
        for _ in 0..TRIES {
            if let Some(version) = self.ledger.put(&self.name, &bytes, self.version.clone().update()).await? {
                (self.ours, self.version) = (next, version);
                return Ok(true);
            }
            // The answer to this write, or to one before, was lost; or somebody else has it.
            match self.ledger.bytes(&self.name).await? {
                Some((there, version))
                    if self.ledger.parse::<Document>(&self.name, &there)?.id == self.ours.id =>
                {
                    self.version = version;
                    if there == bytes {
                        self.ours = next;
                        return Ok(true);
                    }
                }
                _ => return Ok(false),
            }
        }
        Ok(false)
    }
}

impl Version {
    fn update(self) -> PutMode {
        self.0.map_or(PutMode::Create, PutMode::Update)
    }
}

/// No two takings have the same.
fn identity(holder: &Holder, now: Timestamp) -> String {
    static TAKINGS: AtomicU64 = AtomicU64::new(0);
    let count = TAKINGS.fetch_add(1, Ordering::Relaxed);
    let text = format!("{holder} {} {count}", now.as_nanosecond());
    Sha256::digest(text).iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
