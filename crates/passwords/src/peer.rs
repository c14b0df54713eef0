//! Whom limits for strangers count together.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address that say whose it is, the first 64. A customer of a provider gets a /64
/// at least, and could call from another address of it each time.
const IPV6_BITS: u128 = u128::MAX << 64;

/// Who calls, as far as limits for strangers go: an IPv4 address, or the first 64 bits of an IPv6
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl Peer {
    pub fn at(address: IpAddr) -> Peer {
        Peer(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & IPV6_BITS)),
            v4 => v4,
        })
    }

    /// Whoever has a request without a connection: a call within the process.
    pub const NOWHERE: Peer = Peer(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_version_6_are_one_peer() {
        let peer = |text: &str| Peer::at(text.parse().expect("an address"));
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"), "of one /64");
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"), "of two");
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"), "version 4");
        assert_eq!(peer("192.0.2.1"), peer("::ffff:192.0.2.1"), "the same, mapped");
    }
}
