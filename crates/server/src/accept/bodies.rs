//! Bodies that tell the connection's [`ConnectionState`] what it waits for, and who reads what nobody else does.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;

use super::connections::{BusyGuard, ConnectionState};
use super::limits::ListenerLimits;
use crate::patient;

/// The body of a request. While a piece of it is awaited, the connection waits for its client. What
/// its handler does not read, [`discard`] does.
pub(super) struct IncomingBody {
    /// `Some` until it is dropped.
    inner: Option<Incoming>,
    seat: Arc<ConnectionState>,
    /// The client sends nothing before it is told to, and the first read tells it.
    is_held_back: bool,
}

impl IncomingBody {
    pub(super) fn new(
        inner: Incoming,
        headers: &HeaderMap,
        seat: Arc<ConnectionState>,
    ) -> IncomingBody {
        IncomingBody { inner: Some(inner), seat, is_held_back: headers.contains_key(EXPECT) }
    }
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_held_back = false;
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = Pin::new(inner).poll_frame(context);
        self.seat.awaits_body(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        self.seat.awaits_body(false);
        if let Some(rest) = self.inner.take_if(|it| !self.is_held_back && !it.is_end_stream()) {
            self.seat.unread.leave(rest);
        }
    }
}

/// Reads and forgets what handlers leave unread, within [`ListenerLimits::unread_timeout`] and
/// [`ListenerLimits::unread_bytes_max`]; past them the connection is closed. Without this it would be closed at once,
/// and the kernel would answer what the client still sends with a reset, which may overtake the answer: a proxy
/// then tells its client 502. Never ends.
pub(super) async fn discard(seat: &ConnectionState, limits: &ListenerLimits) -> ! {
    loop {
        let reading = read_away(seat.unread.taken().await, limits.unread_bytes_max);
        let _at_its_end_or_late = patient::timeout(limits.unread_timeout, reading).await;
        seat.unread.end();
    }
}

async fn read_away(mut rest: Incoming, mut bytes_left: usize) {
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut rest).poll_frame(context)).await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        match bytes_left.checked_sub(bytes) {
            Some(left) => bytes_left = left,
            None => return,
        }
    }
}

/// The body of an answer: until it is dropped, its request is under way.
pub(super) struct OutgoingBody<B> {
    pub(super) inner: B,
    pub(super) _busy: BusyGuard,
}

impl<B: Body + Unpin> Body for OutgoingBody<B> {
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
