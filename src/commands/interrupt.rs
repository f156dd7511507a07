//! Signals: the first asks to stop, the second leaves.

use std::{cell::Cell, io, rc::Rc};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Which signal came first, if one came.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Rc<Cell<Option<u8>>>);

/// Receives signals for as long as it lives; without one the kernel ends the process at once, as is right for
/// commands that only read.
pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    received: Interrupt,
}

impl Interrupt {
    /// Its number.
    pub(super) fn received(&self) -> Option<u8> {
        self.0.get()
    }
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            received: Interrupt::default(),
        })
    }

    pub(super) fn interrupt(&self) -> Interrupt {
        self.received.clone()
    }

    /// The next signal's number.
    pub(super) async fn next(&mut self) -> u8 {
        let number = tokio::select! {
            _ = self.hangup.recv() => 1,
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        };
        if self.received.0.get().is_none() {
            self.received.0.set(Some(number));
        }
        number
    }
}
