//! An application that writes: documents in order, and after each batch a note of how far it came.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use mongodb::{
    bson::{Document, doc},
    options::{Acknowledgment, DatabaseOptions, WriteConcern},
};

use super::{ROOT, ReplicaSet, runtime};

/// A thousand documents a second in 20 batches, each of about 200 bytes.
const BATCH: i64 = 50;
const PAUSE: Duration = Duration::from_millis(50);

/// Writes `a {_id: 0..}` and `b {upto}` until it is dropped.
pub(crate) struct Writer {
    written: Arc<AtomicI64>,
    failed: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    begun: Instant,
}

impl Writer {
    /// A thousand inserts a second.
    pub(crate) fn start(set: &ReplicaSet) -> Self {
        Self::start_with(set, BATCH, PAUSE)
    }

    pub(crate) fn start_with(set: &ReplicaSet, batch: i64, pause: Duration) -> Self {
        let client = set.client(Some(ROOT), set.await_primary());
        // Others wait for a majority, and no longer write a thousand times a second when members are busy.
        let one = WriteConcern::builder().w(Acknowledgment::Nodes(1)).build();
        let options = DatabaseOptions::builder().write_concern(one).build();
        let database = client.database_with_options(ReplicaSet::APPLICATION, options);
        let writer = Self {
            written: Arc::default(),
            failed: Arc::default(),
            stop: Arc::default(),
            begun: Instant::now(),
        };
        let (written, failed, stop) = (writer.written.clone(), writer.failed.clone(), writer.stop.clone());
        let (sender, receiver) = std::sync::mpsc::channel();
        runtime::spawn(async move {
            let (documents, notes) =
                (database.collection::<Document>("a"), database.collection::<Document>("b"));
            let _ = documents.drop().await;
            let _ = notes.drop().await;
            let mut next = 0;
            let mut clock = tokio::time::interval(pause);
            while !stop.load(Ordering::Relaxed) {
                let padding = "x".repeat(150);
                let many = (next..next + batch).map(|id| doc! {"_id": id, "text": &padding});
                let inserted = documents.insert_many(many.collect::<Vec<_>>()).await;
                next += batch;
                if inserted.is_err() || notes.insert_one(doc! {"upto": next - 1}).await.is_err() {
                    failed.store(true, Ordering::Relaxed);
                    break;
                }
                written.store(next, Ordering::Relaxed);
                let _ = sender.send(());
                clock.tick().await;
            }
        });
        receiver.recv().expect("the writer writes");
        writer
    }

    /// So many documents have been acknowledged.
    pub(crate) fn written(&self) -> i64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Since when it writes.
    pub(crate) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
