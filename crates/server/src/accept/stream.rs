//! A socket that knows how long it has waited for its client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connections::ConnectionState;
use super::limits::{ListenerLimits, PROGRESS_BYTES_MIN, SEND_BUFFER_BYTES};
use crate::patient::PatientTimer;

/// Reads fail if a header is not whole in time, from its first byte or the connection's first
/// moment, or if none comes for too long. Writes fail if the reader takes too little for too long.
pub(super) struct TimedStream {
    stream: TcpStream,
    seat: Arc<ConnectionState>,
    limits: Arc<ListenerLimits>,
    /// The header that is awaited, from its first byte on.
    header: Option<HeaderTimer>,
    /// Runs between two requests.
    idle: Option<PatientTimer>,
    write: Option<WriteTimer>,
}

struct HeaderTimer {
    since: Instant,
    /// How many requests had begun before it.
    before: u32,
    /// Made when it does not come in one piece.
    timer: Option<PatientTimer>,
}

/// What a client has taken since it began to keep an answer waiting.
struct WriteTimer {
    since: Instant,
    taken: usize,
    timer: PatientTimer,
}

impl TimedStream {
    pub(super) fn new(
        stream: TcpStream,
        seat: Arc<ConnectionState>,
        limits: &Arc<ListenerLimits>,
    ) -> TimedStream {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
        if let Err(error) = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES) {
            tracing::debug!(%error, "SO_SNDBUF not set");
        }
        let header = Some(HeaderTimer { since: Instant::now(), before: 0, timer: None });
        TimedStream { stream, seat, limits: Arc::clone(limits), header, idle: None, write: None }
    }

    fn read_some(&mut self) {
        self.forget_whole_header();
        let of_a_request = self.seat.in_request() || self.seat.unread.is_coming();
        if !of_a_request && self.header.is_none() {
            let (since, before) = (Instant::now(), self.seat.requests_begun());
            self.header = Some(HeaderTimer { since, before, timer: None });
        }
        self.idle = None;
        self.seat.heard();
    }

    /// A request has begun since: its header was whole.
    fn forget_whole_header(&mut self) {
        let begun = self.seat.requests_begun();
        self.header.take_if(|header| header.before != begun);
    }

    fn wait_to_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.forget_whole_header();
        let Some(header) = &mut self.header else { return self.wait_for_request(context) };
        let deadline = header.since + self.limits.header_timeout;
        header.timer.get_or_insert_with(|| PatientTimer::until(deadline));
        match over(&mut header.timer, context) {
            true => Poll::Ready(Err(timed_out("the header took too long"))),
            false => Poll::Pending,
        }
    }

    fn wait_for_request(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.seat.in_request() || self.seat.is_deaf() {
            self.idle = None;
            return Poll::Pending;
        }
        let idle_timeout = self.seat.idle_timeout(&self.limits);
        self.idle.get_or_insert_with(|| PatientTimer::until(Instant::now() + idle_timeout));
        match over(&mut self.idle, context) {
            true => Poll::Ready(Err(timed_out("no request came"))),
            false => Poll::Pending,
        }
    }

    fn written(
        &mut self,
        wrote: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(wrote) = wrote {
            self.seat.takes_its_answer();
            if let (Some(write), Ok(bytes)) = (&mut self.write, &wrote) {
                write.taken += bytes;
            }
            self.write.take_if(|write| write.taken >= PROGRESS_BYTES_MIN);
            return Poll::Ready(wrote);
        }
        self.seat.deaf(true);
        let (seat, limits) = (&self.seat, &self.limits);
        let write = self.write.get_or_insert_with(|| {
            let since = Instant::now();
            let first = since + limits.crowded_write_timeout.min(limits.write_timeout);
            WriteTimer { since, taken: 0, timer: PatientTimer::until(first) }
        });
        while Pin::new(&mut write.timer).poll(context).is_ready() {
            let last = write.since + limits.write_timeout;
            if Instant::now() >= last || seat.leaves_crowd(limits.deaf_of_peer_max) {
                return Poll::Ready(Err(timed_out("the client takes too little")));
            }
            write.timer = PatientTimer::until(last);
        }
        Poll::Pending
    }
}

fn over(timer: &mut Option<PatientTimer>, context: &mut Context<'_>) -> bool {
    timer.as_mut().is_some_and(|timer| Pin::new(timer).poll(context).is_ready())
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for TimedStream {
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

impl AsyncWrite for TimedStream {
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
        // hyper flushes once it has handed over all that it had.
        self.write = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::TcpListener;

    use super::super::connections::ConnectionRegistry;
    use super::*;

    /// Only enough of an answer gives a client its time anew; a byte now and then does not.
    #[tokio::test]
    async fn what_is_progress() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = ConnectionRegistry::new(ListenerLimits::default());
        let cases: [(&str, &[usize], bool); 5] = [
            ("nothing", &[], false),
            ("a byte", &[1], false),
            ("a byte too little", &[PROGRESS_BYTES_MIN - 2, 1], false),
            ("just enough", &[PROGRESS_BYTES_MIN - 1, 1], true),
            ("all at once", &[PROGRESS_BYTES_MIN], true),
        ];
        for (name, pieces, want) in cases {
            let stream = TcpStream::connect(address).await.unwrap();
            let slot = connections.slot(address.ip()).await.unwrap();
            let mut timed = TimedStream::new(stream, Arc::clone(&slot.seat), &Arc::default());
            let begins_anew = poll_fn(|context| {
                assert!(timed.written(Poll::Pending, context).is_pending(), "{name}");
                for bytes in pieces {
                    let wrote = timed.written(Poll::Ready(Ok(*bytes)), context);
                    assert!(matches!(wrote, Poll::Ready(Ok(_))), "{name}");
                }
                Poll::Ready(timed.write.is_none())
            });
            assert_eq!(begins_anew.await, want, "{name}");
        }
    }
}
