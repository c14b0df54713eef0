//! What a listener allows, and why so much.

use std::time::Duration;

use crate::peer::TrustedProxies;

/// Most connections at a time. With a full buffer each that is 256 MiB at worst. Needs as many
/// file descriptors. For one more, the connection that has waited for its client the longest is
/// closed; where every client waits for us, it waits in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 4_096;

/// Most connections of one peer: half of all. More than a shop's back end opens, and one address
/// alone does not fill every place. Trusted proxies may have more.
pub const PER_PEER_MAX: usize = CONNECTIONS_MAX / 2;

/// Time to send a whole header, from its first byte, and from the connection's first moment.
/// Longer than a phone's radio takes to wake up, shorter than an attacker likes.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection is kept between two requests while nobody on it has shown a good token.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The same once somebody has. The pools of shops keep a connection for 30 to 90 s: whoever closes first must not be
/// us, or a request meets the end of its connection, and nobody knows whether it was done.
pub const KNOWN_IDLE_TIMEOUT: Duration = Duration::from_secs(95);

/// The same for a trusted proxy. Most load balancers keep a connection for 60 s, those of Google Cloud for 600 s.
pub const PROXY_IDLE_TIMEOUT: Duration = Duration::from_secs(650);

/// So much less is said in the header `Keep-Alive`: the way to the client, and its next request's way back.
pub const KEEP_ALIVE_SLACK: Duration = Duration::from_secs(5);

/// Time for requests under way at shutdown: the longest any of ours takes. Kubernetes and systemd
/// kill after 30 and 90 s.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Most headers of a request; past it hyper answers 431. Browsers send 20, proxies add 10.
pub const HEADERS_MAX: usize = 100;

/// Largest header with its request line, in bytes; past it hyper answers 431. A token has 4 KiB at
/// most, a query less, and nobody needs cookies here.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Largest buffer of a connection, in bytes. hyper reads into it and may overshoot a little, so
/// it is no limit for a header.
pub const BUFFER_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(HEADER_BYTES_MAX < BUFFER_BYTES_MAX);

/// Buffer of the kernel for answers of one connection, in bytes; the kernel doubles it for its own needs. By
/// itself it lets that grow to 4 MiB for a client that takes nothing. On a line of 50 ms it is 2.6 MB a second.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Time in which a client that keeps an answer waiting takes [`PROGRESS_BYTES_MIN`] of it. Whoever asks and never
/// reads, or a little now and then, would keep their place for ever; a download over a bad line makes progress in
/// less.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// See [`WRITE_TIMEOUT`]: two kilobytes a second, in bytes.
pub const PROGRESS_BYTES_MIN: usize = 64 * 1024;

/// Connections of one peer that may keep an answer waiting for [`WRITE_TIMEOUT`]: an office with slow lines.
pub const DEAF_OF_PEER_MAX: usize = 64;

/// Past [`DEAF_OF_PEER_MAX`], the time that takes the place of [`WRITE_TIMEOUT`] for this peer.
pub const CROWDED_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the rest of a body is read that its handler has not read to the end, and then thrown away. A proxy needs a
/// moment to see the answer; a trickle must not keep a place for longer than a header may take.
pub const UNREAD_TIMEOUT: Duration = HEADER_TIMEOUT;

/// The same in bytes. A line of 100 Mbit/s carries less in [`UNREAD_TIMEOUT`], so only a peer nearby sends as much.
pub const UNREAD_BYTES_MAX: usize = 64 << 20;

/// Past [`STRANGERS_AT_ONCE`], a peer gets one answer in this time to requests of which nobody counts what they cost:
/// those on a connection on which nobody has shown a good token, and those for pages. Beside a flood of them from 60
/// connections the p99 of a redeem on one core was 15 times that without; with this limit, 1.5 times
/// (`tests/http/attacked.rs`).
pub const STRANGER_EVERY: Duration = Duration::from_micros(250);

/// The first requests of all connections that a shop's back end opens at its start.
pub const STRANGERS_AT_ONCE: u32 = 256;

/// One for each connection of a peer.
pub(super) const STRANGERS_WAITING: u32 = PER_PEER_MAX as u32;

/// The default of each field is the constant of this name, which says why so much.
#[derive(Clone, Debug)]
pub struct Limits {
    /// At least 1.
    pub connections_max: usize,
    /// At least 1.
    pub per_peer_max: usize,
    /// Peers that may have any number of connections.
    pub trusted_proxies: TrustedProxies,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub known_idle_timeout: Duration,
    pub proxy_idle_timeout: Duration,
    pub write_timeout: Duration,
    pub deaf_of_peer_max: usize,
    pub crowded_write_timeout: Duration,
    pub unread_timeout: Duration,
    pub unread_bytes_max: usize,
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: CONNECTIONS_MAX,
            per_peer_max: PER_PEER_MAX,
            trusted_proxies: TrustedProxies::default(),
            header_timeout: HEADER_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            known_idle_timeout: KNOWN_IDLE_TIMEOUT,
            proxy_idle_timeout: PROXY_IDLE_TIMEOUT,
            write_timeout: WRITE_TIMEOUT,
            deaf_of_peer_max: DEAF_OF_PEER_MAX,
            crowded_write_timeout: CROWDED_WRITE_TIMEOUT,
            unread_timeout: UNREAD_TIMEOUT,
            unread_bytes_max: UNREAD_BYTES_MAX,
            drain: DRAIN,
        }
    }
}
