//! Bodies that tell the connection's [`Seat`] what it waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use super::connections::{Busy, Seat};

/// A request's body. While a piece of it is awaited, the connection waits for its client.
pub(super) struct Arriving<B> {
    inner: B,
    seat: Arc<Seat>,
}

impl<B> Arriving<B> {
    pub(super) fn new(inner: B, seat: Arc<Seat>) -> Arriving<B> {
        Arriving { inner, seat }
    }
}

impl<B: Body + Unpin> Body for Arriving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        self.seat.awaits_body(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for Arriving<B> {
    fn drop(&mut self) {
        self.seat.awaits_body(false);
    }
}

/// An answer's body. Until it is dropped, its request is under way.
pub(super) struct Leaving<B> {
    inner: B,
    _busy: Busy,
}

impl<B> Leaving<B> {
    pub(super) fn new(inner: B, busy: Busy) -> Leaving<B> {
        Leaving { inner, _busy: busy }
    }
}

impl<B: Body + Unpin> Body for Leaving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
