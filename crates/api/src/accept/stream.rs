//! A socket that knows how long it has waited for its client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connections::Seat;
use super::limits::Limits;
use crate::patient::Patient;

/// Reads fail when a header is not whole in time, counted from its first byte, or from the
/// connection's first moment; writes fail when the reader takes nothing for too long.
pub(super) struct Timed {
    stream: TcpStream,
    seat: Arc<Seat>,
    header_timeout: Duration,
    write_timeout: Duration,
    /// The header that is awaited, from its first byte on.
    header: Option<Header>,
    /// Runs while the client takes nothing.
    write: Option<Patient>,
}

struct Header {
    since: Instant,
    /// How many requests had begun before it.
    before: u32,
    /// Made when it does not come in one piece.
    timer: Option<Patient>,
}

impl Timed {
    pub(super) fn new(stream: TcpStream, seat: Arc<Seat>, limits: &Limits) -> Timed {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
        Timed {
            stream,
            seat,
            header_timeout: limits.header_timeout,
            write_timeout: limits.write_timeout,
            header: Some(Header { since: Instant::now(), before: 0, timer: None }),
            write: None,
        }
    }

    fn read_some(&mut self) {
        self.forget_whole_header();
        if !self.seat.in_request() && self.header.is_none() {
            let (since, before) = (Instant::now(), self.seat.requests_begun());
            self.header = Some(Header { since, before, timer: None });
        }
        self.seat.moved();
    }

    /// A request has begun since: its header was whole.
    fn forget_whole_header(&mut self) {
        let begun = self.seat.requests_begun();
        self.header.take_if(|header| header.before != begun);
    }

    fn wait_to_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.forget_whole_header();
        let Some(header) = &mut self.header else { return Poll::Pending };
        let deadline = header.since + self.header_timeout;
        header.timer.get_or_insert_with(|| Patient::until(deadline));
        match over(&mut header.timer, context) {
            true => Poll::Ready(Err(timed_out("the header took too long"))),
            false => Poll::Pending,
        }
    }

    fn written(
        &mut self,
        wrote: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            self.write = None;
            self.seat.takes_its_answer();
            return wrote;
        }
        self.seat.is_deaf();
        let timeout = self.write_timeout;
        self.write.get_or_insert_with(|| Patient::until(Instant::now() + timeout));
        match over(&mut self.write, context) {
            true => Poll::Ready(Err(timed_out("the client takes nothing"))),
            false => Poll::Pending,
        }
    }
}

fn over(timer: &mut Option<Patient>, context: &mut Context<'_>) -> bool {
    timer.as_mut().is_some_and(|timer| Pin::new(timer).poll(context).is_ready())
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, into) {
            Poll::Pending => self.wait_to_read(context),
            Poll::Ready(Ok(())) if into.filled().len() > before => {
                self.read_some();
                Poll::Ready(Ok(()))
            }
            ended => ended,
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(wrote, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.written(wrote, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
