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

/// How long a connection is kept between two requests.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Longest pause of a client that is being answered. Whoever asks and never reads would keep his
/// place for ever; a download over a bad line makes progress in less.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a listener allows. The defaults are this module's constants.
#[derive(Clone, Debug)]
pub struct Limits {
    /// See [`CONNECTIONS_MAX`]; at least 1.
    pub connections_max: usize,
    /// See [`PER_PEER_MAX`]; at least 1.
    pub per_peer_max: usize,
    /// Peers that may have any number of connections.
    pub trusted_proxies: TrustedProxies,
    /// See [`HEADER_TIMEOUT`].
    pub header_timeout: Duration,
    /// See [`IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// See [`WRITE_TIMEOUT`].
    pub write_timeout: Duration,
    /// See [`DRAIN`].
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
            write_timeout: WRITE_TIMEOUT,
            drain: DRAIN,
        }
    }
}
