//! What the files of the system say about names.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::Hosts;
use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use parking_lot::Mutex;

use super::TRY_MAX;

/// The hosts file, and that of the name servers.
const FILES: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];

#[derive(Debug)]
pub(super) struct SystemNames {
    /// `None` if no file is read.
    files: Option<[Vec<u8>; 2]>,
    hosts: Hosts,
    config: ResolverConfig,
    options: ResolverOpts,
}

/// Reads the files, and parses them if they have changed since `last`: the parser logs each line that it does not know.
pub(super) fn newest(last: &Mutex<Arc<SystemNames>>) -> Arc<SystemNames> {
    let mut last = last.lock();
    if let Some(before) = &last.files {
        // A file that is not there is as an empty one, as for the C library.
        let files = FILES.map(|path| fs::read(path).unwrap_or_default());
        if *before != files {
            *last = Arc::new(SystemNames::of(files));
        }
    }
    Arc::clone(&last)
}

impl SystemNames {
    pub(super) fn of(files: [Vec<u8>; 2]) -> SystemNames {
        let mut hosts = Hosts::default();
        // A line that is no text ends the file there; what was read before it counts.
        let _ = hosts.read_hosts_conf(&*files[0]);
        // Without servers, the C library asks one on this machine.
        let (config, options) = parse_resolv_conf(&files[1]).unwrap_or_else(|_| {
            let here = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
            (ResolverConfig::from_name_servers(vec![here]), ResolverOpts::default())
        });
        SystemNames { files: Some(files), hosts, config, options }
    }

    pub(super) fn asking(server: SocketAddr) -> SystemNames {
        let mut one = NameServerConfig::udp(server.ip());
        one.connections.iter_mut().for_each(|connection| connection.port = server.port());
        let config = ResolverConfig::from_name_servers(vec![one]);
        SystemNames { files: None, config, ..SystemNames::of(Default::default()) }
    }

    /// The addresses of a name in the hosts file. If there are any, no server is asked: also not for addresses of
    /// the other version.
    pub(super) fn listed(&self, name: &Name) -> Vec<IpAddr> {
        let of = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let found = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of);
        let answers = |lookup: hickory_resolver::lookup::Lookup| lookup.answers().to_vec();
        found.flat_map(answers).filter_map(|record| record.data.ip_addr()).collect()
    }

    pub(super) fn servers(&self) -> (ResolverConfig, ResolverOpts) {
        let mut options = self.options.clone();
        options.timeout = options.timeout.min(TRY_MAX);
        // Most networks reach addresses of version 4; a connection tries the others soon after.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        (self.config.clone(), options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let hosts = b"127.0.0.1 localhost\n10.0.0.7 hooks.shop Hooks # ours\n::7 both\n10.0.0.8 both\nnonsense\n";
        let servers =
            b"search shop.example\nnameserver 10.0.0.53\nnameserver ::53\noptions timeout:1 what\n";
        let system = SystemNames::of([hosts.to_vec(), servers.to_vec()]);
        let cases: [(_, _, &[&str]); 5] = [
            ("one address", "hooks.shop", &["10.0.0.7"]),
            ("another name of it", "HOOKS", &["10.0.0.7"]),
            ("with a dot", "hooks.shop.", &["10.0.0.7"]),
            ("both versions", "both", &["10.0.0.8", "::7"]),
            ("not listed", "shop", &[]),
        ];
        for (name, asked, want) in cases {
            let found = system.listed(&Name::from_str_relaxed(asked).unwrap());
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), want, "{name}");
        }
        let (config, options) = system.servers();
        let asked: Vec<String> = config.name_servers().iter().map(|it| it.ip.to_string()).collect();
        assert_eq!(asked, ["10.0.0.53", "::53"]);
        assert_eq!(options.timeout.as_secs(), 1);
        // Without a file: a server on this machine, and no try longer than ours.
        let (config, options) = SystemNames::of(Default::default()).servers();
        assert_eq!(config.name_servers()[0].ip, IpAddr::from(Ipv4Addr::LOCALHOST));
        assert_eq!(options.timeout, TRY_MAX);
    }
}
