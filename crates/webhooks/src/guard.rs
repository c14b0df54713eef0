//! Which addresses may be posted to: the only guard against requests that a caller lets couponry send into
//! its own network (SSRF).
//!
//! - A URL is checked when an endpoint is made or changed, and again before each attempt: only `https`, no
//!   password in it, no address that is not public.
//! - A name is resolved by [`GuardedResolver`], which leaves out all addresses that are not public. The
//!   connection goes to one of the addresses that were checked, so a name that changes between check and
//!   connection (DNS rebinding) leads nowhere.
//! - No redirect is followed: what a receiver answers never leads to another address.
//! - No proxy is used, also not one of the environment: it would resolve names itself.
//!
//! Every port may be used. With `allow_private` the guard accepts every address, and `http`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::resolver::NameResolver;

/// Longest URL of an endpoint, in bytes: what common proxies and servers accept.
const URL_LEN_MAX: usize = 2_048;

/// Why a URL is not posted to. The text is for callers, and repeats no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadUrl {
    #[error("cannot be parsed ({why}), want https://HOST/PATH")]
    Form { why: String },
    #[error("has {found} bytes, want at most {URL_LEN_MAX}")]
    Length { found: usize },
    /// URLs are shown and logged, so they have no secret in front of the host.
    #[error("has a user or a password in it, want one without")]
    Password,
    #[error("has the scheme {found:?}, want https")]
    Scheme { found: String },
    #[error("leads to {address}, which is not a public address")]
    Private {
        /// The address, or a name such as `localhost`.
        address: String,
    },
}

/// Checks a URL again that was checked when it was set: rules may have become stricter.
pub(crate) fn accepted(text: &str, allow_private: bool) -> Result<Url, String> {
    checked(text, allow_private).map_err(|bad| format!("the URL {bad}"))
}

/// Parses a URL, and checks all of it that can be checked without resolving its name.
pub(crate) fn checked(text: &str, allow_private: bool) -> Result<Url, BadUrl> {
    if text.len() > URL_LEN_MAX {
        return Err(BadUrl::Length { found: text.len() });
    }
    let mut url = Url::parse(text).map_err(|why| BadUrl::Form { why: why.to_string() })?;
    url.set_fragment(None);
    // Other characters than those of ASCII become longer.
    if url.as_str().len() > URL_LEN_MAX {
        return Err(BadUrl::Length { found: url.as_str().len() });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadUrl::Password);
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        found => return Err(BadUrl::Scheme { found: found.to_owned() }),
    }
    let host = url.host_str().unwrap_or_default();
    if !allow_private && is_private_host(host) {
        return Err(BadUrl::Private { address: host.to_owned() });
    }
    Ok(url)
}

/// Whether a host is an address that is not public, or a name of this machine. `Url` has already written
/// numbers of all forms (decimal, octal, hexadecimal, short ones) as an ordinary address.
fn is_private_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match bare.parse::<IpAddr>() {
        Ok(address) => !is_public(address),
        Err(_) => bare.is_empty() || bare == "localhost" || bare.ends_with(".localhost"),
    }
}

/// Networks of version 4 that are not public, each with the length of its prefix.
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 16] = [
    // This network.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Behind a carrier's NAT; clouds have services there, too.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // This machine.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local; the metadata of most clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // The metadata service of Azure.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // For protocols; the metadata of Oracle's cloud.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Relays of 6to4.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Measurements between networks.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Documents.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, and broadcast.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The part of version 6 that is public: all else is reserved, private, link-local or multicast.
const PUBLIC_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks inside [`PUBLIC_V6`] that are not public.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    // For protocols; Teredo is among them, which has an address of version 4 inside.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documents.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4, which has an address of version 4 inside.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// Prefixes of 96 bits behind which an address of version 4 stands: mapped ones, and the well-known prefix of
/// NAT64, by which networks of version 6 reach public servers of version 4.
const V4_BEHIND: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0)];

pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within =
        |(network, length)| (address.to_bits() ^ Ipv4Addr::to_bits(network)) >> (32 - length) == 0;
    !NOT_PUBLIC_V4.into_iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let within = |(network, length): (Ipv6Addr, u32)| {
        (address.to_bits() ^ network.to_bits()) >> (128 - length) == 0
    };
    if V4_BEHIND.into_iter().any(|prefix| within((prefix, 96))) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    within(PUBLIC_V6) && !NOT_PUBLIC_V6.into_iter().any(within)
}

#[derive(Clone, Debug)]
pub(crate) struct GuardedResolver {
    pub(crate) names: NameResolver,
    pub(crate) allow_private: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let GuardedResolver { names, allow_private } = self.clone();
        Box::pin(async move {
            let left = left(NameResolver::resolve(&names, name.as_str()).await?, allow_private)?;
            Ok(Box::new(left.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// Those of the addresses of a name that may be used.
fn left(found: Vec<IpAddr>, allow_private: bool) -> Result<Vec<IpAddr>, BadUrl> {
    let first = found.first().copied();
    let left: Vec<IpAddr> =
        found.into_iter().filter(|it| allow_private || is_public(*it)).collect();
    match first {
        Some(address) if left.is_empty() => Err(BadUrl::Private { address: address.to_string() }),
        Some(_) | None => Ok(left),
    }
}

#[cfg(test)]
mod tests;
