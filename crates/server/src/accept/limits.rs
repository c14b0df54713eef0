//! What a listener allows, and why so much.

use std::time::Duration;

use crate::peer::TrustedProxies;

/// The default of [`ListenerLimits::connections_max`].
const CONNECTIONS_MAX: usize = 4_096;

/// The default of [`ListenerLimits::per_peer_max`].
pub const PER_PEER_MAX: usize = CONNECTIONS_MAX / 2;

/// So much less is said in the header `Keep-Alive`: the way to the client, and its next request's way back.
pub(super) const KEEP_ALIVE_SLACK: Duration = Duration::from_secs(5);

/// Most headers of a request; past it hyper answers 431. Browsers send 20, proxies add 10.
pub(super) const HEADERS_MAX: usize = 100;

/// Largest header with its request line, in bytes; past it hyper answers 431. A token has 4 KiB at
/// most, a query less, and nobody needs cookies here.
pub(super) const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Largest buffer of a connection, in bytes. hyper reads into it and may overshoot a little, so
/// it is no limit for a header.
pub(super) const BUFFER_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(HEADER_BYTES_MAX < BUFFER_BYTES_MAX);

/// Buffer of the kernel for answers of one connection, in bytes; the kernel doubles it for its own needs. By
/// itself it lets that grow to 4 MiB for a client that takes nothing. On a line of 50 ms it is 2.6 MB a second.
pub(super) const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// What a client takes in [`ListenerLimits::write_timeout`], in bytes: two kilobytes a second.
pub(super) const PROGRESS_BYTES_MIN: usize = 64 * 1024;

/// Past [`STRANGERS_AT_ONCE`], a peer gets one answer in this time to requests of which nobody counts what they cost:
/// those on a connection on which nobody has shown a good token, and those for pages. Beside a flood of them from 60
/// connections the p99 of a redeem on one core was 15 times that without; with this limit, 1.5 times
/// (`tests/http/attacked.rs`).
pub(super) const STRANGER_EVERY: Duration = Duration::from_micros(250);

/// The first requests of all connections that a shop's back end opens at its start.
pub(super) const STRANGERS_AT_ONCE: u32 = 256;

/// One for each connection of a peer.
pub(super) const STRANGERS_WAITING: u32 = PER_PEER_MAX as u32;

/// What one listener allows.
#[derive(Clone, Debug)]
pub struct ListenerLimits {
    /// Most connections at a time, at least 1. With a full buffer each that is 256 MiB at worst. Needs as many
    /// file descriptors. For one more, the connection that has waited for its client the longest is
    /// closed; where every client waits for us, it waits in the kernel's queue.
    pub connections_max: usize,
    /// Most connections of one peer, at least 1. Half of all: more than a shop's back end opens, and one address
    /// alone does not fill every place.
    pub per_peer_max: usize,
    /// Peers that may have any number of connections.
    pub trusted_proxies: TrustedProxies,
    /// Time to send a whole header, from its first byte, and from the connection's first moment.
    /// Longer than a phone's radio takes to wake up, shorter than an attacker likes.
    pub header_timeout: Duration,
    /// How long a connection is kept between two requests while nobody on it has shown a good token.
    pub idle_timeout: Duration,
    /// The same once somebody has. The pools of shops keep a connection for 30 to 90 s: whoever closes first must not
    /// be us, or a request meets the end of its connection, and nobody knows whether it was done.
    pub known_idle_timeout: Duration,
    /// The same for a trusted proxy. Most load balancers keep a connection for 60 s, those of Google Cloud for 600 s.
    pub proxy_idle_timeout: Duration,
    /// Time in which a client that keeps an answer waiting takes 64 KiB of it. Whoever asks and never
    /// reads, or a little now and then, would keep their place for ever; a download over a bad line makes progress in
    /// less.
    pub write_timeout: Duration,
    /// Connections of one peer that may keep an answer waiting for so long: an office with slow lines.
    pub deaf_of_peer_max: usize,
    /// Past them, the time that takes the place of `write_timeout` for this peer.
    pub crowded_write_timeout: Duration,
    /// How long the rest of a body is read and thrown away that its handler has not read to the end. A proxy needs a
    /// moment to see the answer; a trickle must not keep a place for longer than a header may.
    pub unread_timeout: Duration,
    /// The same in bytes. A line of 100 Mbit/s carries less in that time, so only a peer nearby sends as much.
    pub unread_bytes_max: usize,
    /// Time for requests under way at shutdown: the longest any of ours takes. Kubernetes and systemd
    /// kill after 30 and 90 s.
    pub drain: Duration,
}

impl Default for ListenerLimits {
    fn default() -> ListenerLimits {
        ListenerLimits {
            connections_max: CONNECTIONS_MAX,
            per_peer_max: PER_PEER_MAX,
            trusted_proxies: TrustedProxies::default(),
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(10),
            known_idle_timeout: Duration::from_secs(95),
            proxy_idle_timeout: Duration::from_secs(650),
            write_timeout: Duration::from_secs(30),
            deaf_of_peer_max: 64,
            crowded_write_timeout: Duration::from_secs(5),
            unread_timeout: Duration::from_secs(5),
            unread_bytes_max: 64 << 20,
            drain: Duration::from_secs(10),
        }
    }
}
