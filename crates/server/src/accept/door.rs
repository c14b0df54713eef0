//! Takes connections from the kernel, one after the other, and finds a place for each.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::connections::{ConnectionRegistry, ConnectionSlot};

/// Pause after a failed accept. Out of file descriptors, accept fails at once and again: without
/// a pause that is a busy loop.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct AdmissionGate {
    connections: Arc<ConnectionRegistry>,
    /// One that has no place yet. It is kept when [`AdmissionGate::accept`] is dropped half way.
    waiting: Option<(TcpStream, SocketAddr)>,
}

impl AdmissionGate {
    pub(super) fn new(connections: Arc<ConnectionRegistry>) -> AdmissionGate {
        AdmissionGate { connections, waiting: None }
    }

    /// May be dropped and called again: no connection is lost.
    pub(super) async fn accept(
        &mut self,
        listener: &TcpListener,
    ) -> (TcpStream, SocketAddr, ConnectionSlot) {
        loop {
            if self.waiting.is_none() {
                self.waiting = Some(next(listener).await);
            }
            let Some((_, peer)) = &self.waiting else { continue };
            let slot = self.connections.slot(peer.ip()).await;
            match (self.waiting.take(), slot) {
                (Some((stream, peer)), Some(slot)) => return (stream, peer, slot),
                (Some((_, peer)), None) => {
                    tracing::debug!(%peer, "closed: its peer has too many connections");
                }
                (None, _) => {}
            }
        }
    }
}

async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "connection lost before it was accepted");
            }
            Err(error) => {
                tracing::error!(%error, pause_ms = PAUSE.as_millis(), "accept failed, trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The client's trouble and over, unlike running out of file descriptors.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_accept_errors_need_a_pause() {
        let cases = [
            ("EMFILE", 24, false),
            ("ENFILE", 23, false),
            ("ENOMEM", 12, false),
            ("ECONNABORTED", 103, true),
            ("ECONNRESET", 104, true),
        ];
        for (name, code, want) in cases {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(is_of_one_connection(&error), want, "{name}");
        }
    }
}
