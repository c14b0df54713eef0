//! The address of a keyspace: `cql://host:9042,host:9042/keyspace`.

use std::fmt;
use std::str::FromStr;

/// The port where none is named.
const PORT: u16 = 9042;

/// Most characters of a keyspace's name, in both engines.
const KEYSPACE_MAX: usize = 48;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyspaceAddress {
    nodes: Vec<String>,
    keyspace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: want cql://HOST:PORT,HOST:PORT/KEYSPACE")]
pub struct BadKeyspaceAddress(String);

impl KeyspaceAddress {
    /// Nodes as `host:port`.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// Whether every node is this machine, so that nothing that is sent to them leaves it.
    pub fn is_loopback(&self) -> bool {
        let host = |node: &String| node.rsplit_once(':').map_or("", |(host, _)| host).to_owned();
        self.nodes.iter().map(host).all(|host| {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost"
                || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }

    /// The keyspace, in lower case.
    pub fn keyspace(&self) -> &str {
        &self.keyspace
    }
}

impl FromStr for KeyspaceAddress {
    type Err = BadKeyspaceAddress;

    fn from_str(text: &str) -> Result<KeyspaceAddress, BadKeyspaceAddress> {
        let bad = |why: &str| BadKeyspaceAddress(why.to_owned());
        let rest = text.strip_prefix("cql://").ok_or_else(|| bad("no cql:// in front"))?;
        let (nodes, keyspace) = rest.split_once('/').ok_or_else(|| bad("no keyspace"))?;
        if nodes.contains('@') {
            let why = "a password does not belong here: use cql_user and cql_password";
            return Err(bad(why));
        }
        let nodes: Vec<String> = nodes
            .split(',')
            .map(|node| match node.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                    Ok(node.to_owned())
                }
                None if !node.is_empty() => Ok(format!("{node}:{PORT}")),
                _ => Err(bad(&format!("{node:?} is no host"))),
            })
            .collect::<Result<_, _>>()?;
        let keyspace = keyspace.trim_end_matches('/').to_owned();
        let first = keyspace.chars().next().is_some_and(|c| c.is_ascii_lowercase());
        let rest =
            keyspace.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !first || !rest || keyspace.len() > KEYSPACE_MAX {
            let why = format!("{keyspace:?} is no keyspace: a-z 0-9 _, a letter first, 48 at most");
            return Err(bad(&why));
        }
        Ok(KeyspaceAddress { nodes, keyspace })
    }
}

impl fmt::Display for KeyspaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cql://{}/{}", self.nodes.join(","), self.keyspace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_on_this_machine() {
        let cases = [
            ("an address", "cql://127.0.0.1/k", true),
            ("a name, another port", "cql://localhost:9043/k", true),
            ("the newer one", "cql://[::1]:9042/k", true),
            ("one of two", "cql://127.0.0.1,db-2/k", false),
            ("another machine", "cql://10.0.0.7:9042/k", false),
            ("a name like it", "cql://localhost.example/k", false),
        ];
        for (name, text, want) in cases {
            assert_eq!(text.parse::<KeyspaceAddress>().unwrap().is_loopback(), want, "{name}");
        }
    }

    #[test]
    fn clusters() {
        let cases = [
            ("one node", "cql://db/shop", Some("cql://db:9042/shop")),
            ("two nodes", "cql://a:1,b:2/k_2", Some("cql://a:1,b:2/k_2")),
            ("a slash behind", "cql://a:1/k/", Some("cql://a:1/k")),
            ("no keyspace", "cql://a:1", None),
            ("an empty keyspace", "cql://a:1/", None),
            ("a keyspace in capitals", "cql://a:1/Shop", None),
            ("a keyspace of a digit", "cql://a:1/1a", None),
            ("no host", "cql:///k", None),
            ("a port that is none", "cql://a:x/k", None),
            ("a password", "cql://me:secret@a:1/k", None),
            ("another scheme", "sqlite:/k", None),
        ];
        for (name, text, want) in cases {
            let found = text.parse::<KeyspaceAddress>().ok().map(|target| target.to_string());
            assert_eq!(found.as_deref(), want, "{name}");
        }
    }
}
