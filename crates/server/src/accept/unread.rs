//! What is left of a body that nobody reads.

use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The rest of a body whose handler has ended.
#[derive(Debug, Default)]
pub(super) struct UnreadBody {
    rest: Mutex<BodyRemainder>,
    left: Notify,
}

#[derive(Debug, Default)]
enum BodyRemainder {
    #[default]
    Nothing,
    Left(Incoming),
    /// It is being read.
    Taken,
}

impl UnreadBody {
    pub(super) fn leave(&self, rest: Incoming) {
        *self.rest.lock() = BodyRemainder::Left(rest);
        self.left.notify_one();
    }

    pub(super) async fn taken(&self) -> Incoming {
        loop {
            self.left.notified().await;
            if let BodyRemainder::Left(rest) =
                std::mem::replace(&mut *self.rest.lock(), BodyRemainder::Taken)
            {
                return rest;
            }
        }
    }

    /// Unless the next request has left one meanwhile.
    pub(super) fn end(&self) {
        let mut rest = self.rest.lock();
        if matches!(*rest, BodyRemainder::Taken) {
            *rest = BodyRemainder::Nothing;
        }
    }

    /// Whether what comes from the client belongs to it.
    pub(super) fn is_coming(&self) -> bool {
        !matches!(*self.rest.lock(), BodyRemainder::Nothing)
    }
}
