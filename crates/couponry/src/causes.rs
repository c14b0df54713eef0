//! Why the service in the process of a command failed. Its answers have no causes, because they are for everybody; its
//! log has them, and a command is run by the operator.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The target of the lines about requests.
pub(crate) const REQUESTS: &str = "api::request_log";

static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the cause that the last line about a request names.
pub(crate) struct CauseLayer;

impl<S: Subscriber> Layer<S> for CauseLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut CauseVisitor);
    }
}

struct CauseVisitor;

impl Visit for CauseVisitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "cause" {
            *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// The cause of the failure that the service has just answered.
pub(crate) fn last() -> Option<String> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).take()
}
