//! Peers: the only place that says from which address a request comes.
//!
//! It is the address of the connection, unless a trusted proxy has it: then the last address in
//! `X-Forwarded-For` or `Forwarded` that is no trusted proxy itself. What stands before that one
//! was written by a stranger, and is not read.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

/// Most networks in the setting: more than anybody has proxies in front of one service.
const PROXIES_MAX: usize = 64;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies whose word about the address of a client counts.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Arc<[IpNet]>,
    /// Whether the log has said that somebody else forwards.
    warned: Arc<AtomicBool>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProxies {
    #[error("{found:?} is neither an IP address nor a network such as 10.0.0.0/8")]
    Entry { found: String },
    /// Everybody would be trusted, and nobody would have an address.
    #[error("{found:?} trusts everybody: name the addresses of your proxies")]
    Everybody { found: String },
    /// Each request looks at all of them.
    #[error("there are {found} entries, want at most {PROXIES_MAX}")]
    TooMany { found: usize },
}

impl FromStr for TrustedProxies {
    type Err = BadProxies;

    /// IP addresses and networks with commas in between; an empty text is nobody.
    fn from_str(text: &str) -> Result<TrustedProxies, BadProxies> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let networks = entries.map(network).collect::<Result<Vec<IpNet>, _>>()?;
        match networks.len() {
            found if found > PROXIES_MAX => Err(BadProxies::TooMany { found }),
            _ => Ok(TrustedProxies { networks: networks.into(), warned: Arc::default() }),
        }
    }
}

impl TrustedProxies {
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client behind the connection of `from`.
    ///
    /// A proxy writes one of the two headers and passes the other on as it came. So where both are
    /// there and do not agree, a stranger wrote one of them, and the answer is the proxy itself.
    pub fn client(&self, from: IpAddr, headers: &HeaderMap) -> IpAddr {
        let from = from.to_canonical();
        if !self.has(from) {
            self.warn_once(from, headers);
            return from;
        }
        let said = |name: &HeaderName, hop: fn(&str) -> Option<IpAddr>| {
            let is_there = headers.get_all(name).iter().any(|value| !value.is_empty());
            is_there.then(|| self.last_stranger(from, headers, name, hop))
        };
        let x_forwarded_for = said(&X_FORWARDED_FOR, plain_hop);
        let forwarded = said(&header::FORWARDED, forwarded_hop);
        match (x_forwarded_for, forwarded) {
            (Some(one), Some(other)) if one != other => from,
            (Some(one), _) | (None, Some(one)) => one,
            (None, None) => from,
        }
    }

    /// Walks from the nearest hop outwards to the first that is not trusted. An entry that is no
    /// address ends the walk at the proxy that wrote it.
    fn last_stranger(
        &self,
        from: IpAddr,
        headers: &HeaderMap,
        name: &HeaderName,
        hop: fn(&str) -> Option<IpAddr>,
    ) -> IpAddr {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        let mut nearest = from;
        for value in values.into_iter().rev() {
            let Ok(value) = value.to_str() else { return nearest };
            for entry in value.rsplit(',') {
                let Some(address) = hop(entry.trim()) else { return nearest };
                nearest = address.to_canonical();
                if !self.has(nearest) {
                    return nearest;
                }
            }
        }
        nearest
    }

    /// Behind a proxy that is not listed every client has the proxy's address, and shares its
    /// limits: whoever runs the service should know.
    fn warn_once(&self, from: IpAddr, headers: &HeaderMap) {
        let forwards =
            headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(header::FORWARDED);
        if forwards && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %from,
                "a peer sends X-Forwarded-For or Forwarded and is not in trusted_proxies; if it \
                 is your proxy, list it there, or all its clients share one peer's limits"
            );
        }
    }
}

/// An entry of `X-Forwarded-For`: an address, with a port or without.
fn plain_hop(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

/// An element of `Forwarded` (RFC 7239): its `for`, which may be quoted.
fn forwarded_hop(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    plain_hop(node.trim().trim_matches('"'))
}

fn network(entry: &str) -> Result<IpNet, BadProxies> {
    let address = || entry.parse::<IpAddr>().ok().map(IpNet::from);
    match entry.parse::<IpNet>().ok().or_else(address) {
        Some(all) if all.prefix_len() == 0 => {
            Err(BadProxies::Everybody { found: entry.to_owned() })
        }
        Some(network) => Ok(network),
        None => Err(BadProxies::Entry { found: entry.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn lists() {
        let cases = [
            ("nobody", "", Ok("")),
            ("one", "10.0.0.1", Ok("10.0.0.1")),
            ("a network", "10.0.0.0/8", Ok("10.9.8.7")),
            ("of two", "127.0.0.1, 192.168.0.0/16", Ok("192.168.4.4")),
            ("version 6", "fd00::/8", Ok("fd12::1")),
            ("of version 6, mapped", "10.0.0.0/8", Ok("::ffff:10.1.1.1")),
            ("a whole address", "10.0.0.1/32", Ok("10.0.0.1")),
            ("a name", "proxy.example", Err("proxy.example")),
            ("too many bits", "10.0.0.0/33", Err("10.0.0.0/33")),
            ("everybody", "0.0.0.0/0", Err("trusts everybody")),
            ("every version 6", "::/0", Err("trusts everybody")),
        ];
        for (name, text, want) in cases {
            let made = text.parse::<TrustedProxies>();
            match (made, want) {
                (Ok(proxies), Ok("")) => assert!(!proxies.has(ip("127.0.0.1")), "{name}"),
                (Ok(proxies), Ok(has)) => {
                    assert!(proxies.has(ip(has)), "{name}");
                    assert!(!proxies.has(ip("11.0.0.1")), "{name}");
                    assert!(!proxies.has(ip("2001:db8::1")), "{name}");
                }
                (Err(bad), Err(part)) => assert!(bad.to_string().contains(part), "{name}: {bad}"),
                (made, want) => panic!("{name}: {made:?}, want {want:?}"),
            }
        }
        let many = vec!["10.0.0.1"; PROXIES_MAX + 1].join(",");
        let made = many.parse::<TrustedProxies>().err();
        assert_eq!(made, Some(BadProxies::TooMany { found: PROXIES_MAX + 1 }));
    }

    #[test]
    fn whose_word_counts() {
        const XFF: &str = "x-forwarded-for";
        const FWD: &str = "forwarded";
        let proxies: TrustedProxies = "10.0.0.0/8,fd00::/8".parse().unwrap();
        type Lines = &'static [(&'static str, &'static str)];
        // Name, the connection's address, the headers, the client.
        let cases: [(&str, &str, Lines, &str); 18] = [
            ("no header", "10.0.0.1", &[], "10.0.0.1"),
            ("a stranger's word", "203.0.113.9", &[(XFF, "1.2.3.4")], "203.0.113.9"),
            ("a proxy's", "10.0.0.1", &[(XFF, "1.2.3.4")], "1.2.3.4"),
            ("with a port", "10.0.0.1", &[(XFF, "1.2.3.4:567")], "1.2.3.4"),
            ("version 6", "10.0.0.1", &[(XFF, "2001:db8::1")], "2001:db8::1"),
            ("version 6 with a port", "10.0.0.1", &[(XFF, "[2001:db8::1]:80")], "2001:db8::1"),
            ("made up before it", "10.0.0.1", &[(XFF, "9.9.9.9, 1.2.3.4")], "1.2.3.4"),
            ("two proxies", "10.0.0.1", &[(XFF, "9.9.9.9, 1.2.3.4, 10.0.0.2")], "1.2.3.4"),
            ("two lines", "10.0.0.1", &[(XFF, "9.9.9.9"), (XFF, "1.2.3.4")], "1.2.3.4"),
            ("only proxies", "10.0.0.1", &[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("no address", "10.0.0.1", &[(XFF, "1.2.3.4, unknown")], "10.0.0.1"),
            ("empty", "10.0.0.1", &[(XFF, "")], "10.0.0.1"),
            ("RFC 7239", "10.0.0.1", &[(FWD, "for=1.2.3.4;proto=https")], "1.2.3.4"),
            ("quoted", "fd00::1", &[(FWD, "by=x; For=\"[2001:db8::1]:443\"")], "2001:db8::1"),
            ("hidden", "10.0.0.1", &[(FWD, "for=_secret")], "10.0.0.1"),
            ("several", "10.0.0.1", &[(FWD, "for=9.9.9.9, for=1.2.3.4")], "1.2.3.4"),
            ("both agree", "10.0.0.1", &[(XFF, "1.2.3.4"), (FWD, "for=1.2.3.4")], "1.2.3.4"),
            ("one is forged", "10.0.0.1", &[(XFF, "1.2.3.4"), (FWD, "for=5.6.7.8")], "10.0.0.1"),
        ];
        for (name, from, lines, want) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                let name: HeaderName = name.parse().unwrap();
                headers.append(name, HeaderValue::from_static(value));
            }
            assert_eq!(proxies.client(ip(from), &headers), ip(want), "{name}");
        }
    }
}
