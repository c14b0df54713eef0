//! Bodies that tell the connection's [`Seat`] what it waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use super::connections::{Busy, Seat};

/// A body, and what has to know about it until it is dropped.
pub(super) struct Watched<B, W> {
    pub(super) inner: B,
    pub(super) watch: W,
}

/// Told after each look for the next piece whether the piece is awaited.
pub(super) trait Watch {
    fn looked(&self, awaits: bool);
}

/// Of a request's body: while a piece of it is awaited, the connection waits for its client.
pub(super) struct Arriving(pub(super) Arc<Seat>);

impl Watch for Arriving {
    fn looked(&self, awaits: bool) {
        self.0.awaits_body(awaits);
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.awaits_body(false);
    }
}

/// Of an answer's body: until it is dropped, its request is under way.
impl Watch for Busy {
    fn looked(&self, _: bool) {}
}

impl<B: Body + Unpin, W: Watch + Unpin> Body for Watched<B, W> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        self.watch.looked(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
