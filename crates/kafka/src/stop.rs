//! The end that SIGTERM or SIGINT asks for.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{BridgeError, Result};

/// Whether the process is to end.
#[derive(Debug)]
pub(crate) struct StopSignal {
    is_asked: watch::Receiver<bool>,
    runtime: Handle,
}

impl StopSignal {
    /// Becomes true with the first SIGTERM or SIGINT. The second one ends the process at once.
    pub(crate) fn on_signals(runtime: &Handle) -> Result<StopSignal> {
        let _entered = runtime.enter();
        let because = |error| BridgeError::failed("cannot wait for signals", error);
        let mut terminate = signal(SignalKind::terminate()).map_err(because)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(because)?;
        let (asked, is_asked) = watch::channel(false);
        runtime.spawn(async move {
            for is_first in [true, false] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if is_first {
                    tracing::info!("stopping: a second signal ends the process at once");
                    asked.send_replace(true);
                }
            }
            std::process::exit(1);
        });
        Ok(StopSignal { is_asked, runtime: runtime.clone() })
    }

    pub(crate) fn is_asked(&self) -> bool {
        *self.is_asked.borrow()
    }

    /// Blocks this thread for `time`, or until somebody asks for the end.
    pub(crate) fn pause(&self, time: Duration) {
        let mut asked = self.is_asked.clone();
        let asked = async { tokio::time::timeout(time, asked.wait_for(|asked| *asked)).await };
        // An error means that the task of the signals is gone, with the runtime.
        let _either = self.runtime.block_on(asked);
    }
}
