//! Waiting for the driver from tests that are not asynchronous, on as many threads as there are.

use std::{
    future::Future,
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use mongodb::{Client, options::ClientOptions};
use tokio::runtime::{Builder, Handle};

/// One thread that lives as long as the tests, so that clients and writers do too.
fn handle() -> &'static Handle {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    })
}

/// Connects when it is first used.
pub(crate) fn client(options: ClientOptions) -> Client {
    let _inside = handle().enter();
    Client::with_options(options).unwrap()
}

pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    handle().spawn(future);
}

/// What it comes to, or nothing if it takes longer.
pub(crate) fn wait<T: Send + 'static>(
    limit: Duration,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    spawn(async move {
        let _ = sender.send(tokio::time::timeout(limit, future).await.ok());
    });
    receiver.recv().expect("the future panicked")
}
