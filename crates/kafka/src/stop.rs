//! The end that SIGTERM or SIGINT asks for.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::BridgeError;

/// Whether the process is to end. Clones share one answer.
#[derive(Clone, Debug)]
pub(crate) struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// Becomes true with the first SIGTERM or SIGINT. The second one ends the process at once.
    pub(crate) fn on_signals(runtime: &Handle) -> Result<StopSignal, BridgeError> {
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
        Ok(StopSignal(is_asked))
    }

    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for `time`, or until somebody asks for the end.
    pub(crate) async fn sleep(&self, time: Duration) {
        let mut asked = self.0.clone();
        // An error means that the task of the signals is gone, with the runtime.
        let _either = tokio::time::timeout(time, asked.wait_for(|asked| *asked)).await;
    }
}
