//! Checks of a cluster: release, nodes, copies, clocks, Paxos, schema.

use std::collections::BTreeSet;
use std::time::Duration;

use cql_session::{
    AboutCluster, AboutNode, CLOCK_DIFFERENCE_MAX_MS, CqlEngine, Keyspace, NODE_DIFFERENCE_MAX_MS,
    NodeReply, SchemaDifference, middle_of,
};
use hot::HotError;
use hot_cql::EventsAside;

use super::{Report, Verdict};
use crate::cql::{self, OpenCql};
use crate::failure::Result;
use crate::settings::Settings;

/// A slow conditional write, which every change waits for: three nodes of one data centre take a tenth of it.
pub(super) const SLOW_WRITE: Duration = Duration::from_millis(50);

/// Clocks that NTP sets differ by less.
const CLOCK_WARN_MS: i64 = 1_000;

pub(super) async fn report(settings: &Settings, cql: &OpenCql, report: &mut Report) -> Result<()> {
    match cql.store.about().await {
        Ok(about) => {
            let datacenter = settings.cql_datacenter.value.as_deref();
            let verdicts = [
                ("cluster", releases(&about)),
                ("nodes", nodes(&about.nodes)),
                ("replication", replication(&about, datacenter)),
                ("clocks", clocks(&about.nodes)),
                ("conditional writes", paxos(&about)),
                ("sync of writes", sync(&about)),
            ];
            verdicts.into_iter().try_for_each(|(what, verdict)| report.add(what, verdict))?;
        }
        Err(error) => report.add("cluster", Verdict::Fail(error.to_string()))?,
    }
    report.add("events", events(cql.store.events_aside().await))?;
    let options = cql::options(settings, &cql.target);
    let verdicts = match Keyspace::connect(&options.connection).await {
        Ok(keyspace) => match keyspace.differences().await {
            Ok(differences) => schema(&differences),
            Err(error) => vec![Verdict::Fail(error.to_string())],
        },
        Err(error) => vec![Verdict::Fail(error.to_string())],
    };
    verdicts.into_iter().try_for_each(|verdict| report.add("schema", verdict))
}

fn answers(nodes: &[AboutNode]) -> impl Iterator<Item = (&AboutNode, &NodeReply)> {
    nodes.iter().filter_map(|node| Some((node, node.answer.as_ref().ok()?)))
}

fn releases(about: &AboutCluster) -> Verdict {
    let found: BTreeSet<&str> =
        answers(&about.nodes).map(|(_, answer)| answer.version.as_str()).collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (None, _) => Verdict::Fail("no node answers with its release".into()),
        (Some(one), None) => version(about.engine, one),
        (Some(one), Some(other)) => {
            Verdict::Warn(format!("{} {one} and {other}: finish the upgrade", about.engine.name()))
        }
    }
}

fn nodes(nodes: &[AboutNode]) -> Verdict {
    let text = format!("{} of {} answer", answers(nodes).count(), nodes.len());
    let silent = nodes.iter().filter_map(|node| {
        let why = node.answer.as_ref().err()?;
        Some(format!("{}: {why}", node.address))
    });
    let silent: Vec<String> = silent.collect();
    match silent.is_empty() {
        true => Verdict::Ok(text),
        false => Verdict::Warn(format!("{text}; {}", silent.join("; "))),
    }
}

/// The number of copies, and the data centre whose replicas decide. Two processes that ask the
/// replicas of two data centres could both redeem a coupon.
fn replication(about: &AboutCluster, datacenter: Option<&str>) -> Verdict {
    let copies = about.copies.iter().map(|(name, copies)| format!("{copies} in {name}"));
    let copies = copies.collect::<Vec<_>>().join(", ");
    let text = format!("keyspace {}: copies: {copies}", about.keyspace);
    match (datacenter, about.copies.len()) {
        (Some(name), _) if !about.copies.contains_key(name) => {
            Verdict::Fail(format!("{text}; there are none in {name}, which cql_datacenter names"))
        }
        (Some(name), 2..) => {
            Verdict::Ok(format!("{text}; {name} decides, so every process must name it"))
        }
        (None, 2..) => Verdict::Fail(format!(
            "{text}; set cql_datacenter to the same for every process: the replicas of one data \
             centre must decide"
        )),
        (Some(_) | None, _) => Verdict::Ok(text),
    }
}

/// This machine's clock, by the node in the middle, and the node that is furthest from that one.
fn clocks(nodes: &[AboutNode]) -> Verdict {
    let ahead = |(_, answer): &(_, &NodeReply)| answer.clock_ahead_ms;
    let Some(ours) = middle_of(answers(nodes).map(|it| ahead(&it)).collect()) else {
        return Verdict::Fail("no node answers".into());
    };
    let which = |ahead: i64| if ahead > 0 { "ahead of" } else { "behind" };
    let text = format!("this machine's is {} ms {} the cluster's", ours.abs(), which(ours));
    if ours.abs() > CLOCK_DIFFERENCE_MAX_MS {
        return Verdict::Fail(format!("{text}: nothing is written; set it with NTP"));
    }
    if ours.abs() > CLOCK_WARN_MS {
        return Verdict::Warn(format!("{text}: set it with NTP"));
    }
    let theirs = answers(nodes).map(|it| (ours - ahead(&it), &it.0.address));
    let Some((ms, address)) = theirs.max_by_key(|(ms, _)| ms.abs()) else {
        return Verdict::Ok(text);
    };
    let text = format!("that of {address} is {} ms {} the others'", ms.abs(), which(ms));
    if ms.abs() > NODE_DIFFERENCE_MAX_MS {
        return Verdict::Fail(format!("{text}: statements go to other nodes; set it with NTP"));
    }
    if ms.abs() > CLOCK_WARN_MS {
        return Verdict::Warn(format!("{text}: set it with NTP"));
    }
    Verdict::Ok(format!("{} ms apart at most", ms.abs().max(ours.abs())))
}

/// What was acknowledged must survive a power cut of two nodes.
fn sync(about: &AboutCluster) -> Verdict {
    let other = answers(&about.nodes)
        .map(|(node, answer)| (&node.address, answer.commitlog_sync.as_deref()))
        .filter(|(_, sync)| !matches!(sync, Some("batch" | "group")))
        .max_by_key(|(_, sync)| sync.is_some());
    let fix = match about.engine {
        CqlEngine::Cassandra => "set it to group, or to batch, on every node",
        CqlEngine::Scylla => "set it to batch on every node",
    };
    match other {
        None => Verdict::Ok("before each acknowledgement".into()),
        Some((address, None)) => Verdict::Warn(format!(
            "{address} does not say its commitlog_sync: look that it is not periodic"
        )),
        Some((address, Some(sync))) => Verdict::Fail(format!(
            "commitlog_sync of {address} is {sync}: a power cut of two nodes takes acknowledged \
             changes of the last seconds; {fix}"
        )),
    }
}

fn events(aside: Result<EventsAside, HotError>) -> Verdict {
    match aside {
        Err(error) => Verdict::Fail(error.to_string()),
        Ok(EventsAside { events: 0, parts: 0, .. }) => {
            Verdict::Ok("none waits for what cannot be read".into())
        }
        Ok(EventsAside { events, parts, oldest }) => Verdict::Warn(format!(
            "{events} wait for coupons that cannot be read, and {parts} parts of the feed cannot be read, the oldest \
             for {} s: look for nodes that are down, at the cold tier, and in the log",
            oldest.as_secs()
        )),
    }
}

fn paxos(about: &AboutCluster) -> Verdict {
    let other = answers(&about.nodes).find_map(|(node, answer)| match answer.paxos.as_deref() {
        None | Some("v2") => None,
        Some(variant) => Some((&node.address, variant)),
    });
    match (about.engine, other) {
        (CqlEngine::Scylla, _) => Verdict::Ok("as ScyllaDB does them".into()),
        (CqlEngine::Cassandra, None) => Verdict::Ok("paxos_variant is v2".into()),
        (CqlEngine::Cassandra, Some((address, "v1"))) => Verdict::Warn(format!(
            "paxos_variant of {address} is v1, which takes four rounds for a change: set it to v2 \
             on every node"
        )),
        (CqlEngine::Cassandra, Some((address, variant))) => Verdict::Fail(format!(
            "paxos_variant of {address} is {variant}, with which a coupon may be redeemed twice: \
             set it to v2 on every node"
        )),
    }
}

/// The first release of an engine that couponry supports.
fn wanted(engine: CqlEngine) -> (u32, u32) {
    match engine {
        CqlEngine::Cassandra => (5, 0),
        // The first with conditional writes on tables that use tablets.
        CqlEngine::Scylla => (2025, 4),
    }
}

/// The first two numbers of a release such as `5.0.8` or `2025.4.1-0.20251201`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-', '~']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

pub(super) fn version(engine: CqlEngine, version: &str) -> Verdict {
    let (major, minor) = wanted(engine);
    let name = engine.name();
    match release(version) {
        Some(found) if found >= (major, minor) => Verdict::Ok(format!("{name} {version}")),
        Some(_) => {
            Verdict::Warn(format!("{name} {version}: couponry supports {major}.{minor} and later"))
        }
        None => Verdict::Warn(format!("{name} has the unknown release {version:?}")),
    }
}

pub(super) fn schema(differences: &[SchemaDifference]) -> Vec<Verdict> {
    if differences.is_empty() {
        return vec![Verdict::Ok("as this release needs it".into())];
    }
    let each = differences.iter().map(|it| match it.mendable {
        true => Verdict::Fail(format!("{it}: run `couponry schema apply`")),
        false => Verdict::Fail(it.to_string()),
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn node(last: u8, answer: Option<NodeReply>) -> AboutNode {
        let answer = answer.ok_or("timed out".to_owned());
        AboutNode { address: format!("10.0.0.{last}:9042"), datacenter: "dc1".into(), answer }
    }

    fn answer(version: &str, clock_ahead_ms: i64, paxos: &str) -> Option<NodeReply> {
        let (paxos, commitlog_sync) = (Some(paxos.into()), Some("group".into()));
        Some(NodeReply { version: version.into(), clock_ahead_ms, paxos, commitlog_sync })
    }

    fn about(nodes: Vec<AboutNode>, copies: &[(&str, u32)]) -> AboutCluster {
        let copies: BTreeMap<String, u32> =
            copies.iter().map(|(name, copies)| ((*name).to_owned(), *copies)).collect();
        AboutCluster { engine: CqlEngine::Cassandra, keyspace: "shop".into(), copies, nodes }
    }

    #[test]
    fn what_nodes_say() {
        type Look = fn(&AboutCluster) -> Verdict;
        let (release, up): (Look, Look) = (releases, |it| nodes(&it.nodes));
        let (clock, decides): (Look, Look) = (|it| clocks(&it.nodes), paxos);
        let good = || node(1, answer("5.0.8", 0, "v2"));
        let and = |(version, ahead, paxos)| vec![good(), node(2, answer(version, ahead, paxos))];
        let bound = CLOCK_DIFFERENCE_MAX_MS;
        let of_three = |ahead| vec![good(), node(2, answer("5.0.8", ahead, "v2")), good()];
        let cases = [
            ("one release", release, and(("5.0.8", 0, "v2")), "ok"),
            ("two releases", release, and(("5.1.0", 0, "v2")), "warn"),
            ("nobody says", release, vec![node(1, None)], "FAIL"),
            ("all answer", up, and(("5.0.8", 0, "v2")), "ok"),
            ("one does not", up, vec![good(), node(2, None)], "warn"),
            ("clocks close by", clock, and(("5.0.8", -CLOCK_WARN_MS, "v2")), "ok"),
            ("a little apart", clock, and(("5.0.8", CLOCK_WARN_MS + 1, "v2")), "warn"),
            ("at the bound", clock, and(("5.0.8", -bound, "v2")), "warn"),
            ("too far apart", clock, and(("5.0.8", -bound - 1, "v2")), "FAIL"),
            ("of three nodes one is a little apart", clock, of_three(-bound), "warn"),
            (
                "of three nodes one is far ahead",
                clock,
                of_three(-NODE_DIFFERENCE_MAX_MS - 1),
                "FAIL",
            ),
            ("v2", decides, and(("5.0.8", 0, "v2")), "ok"),
            ("v1", decides, and(("5.0.8", 0, "v1")), "warn"),
            ("no guarantees", decides, and(("5.0.8", 0, "v1_without_linearizable_reads")), "FAIL"),
        ];
        for (name, look, nodes, want) in cases {
            let verdict = look(&about(nodes, &[]));
            assert_eq!(verdict.word(), want, "{name}: {verdict:?}");
        }
    }

    #[test]
    fn syncs() {
        let rows = [
            ("both wait", Some("batch"), "ok"),
            ("one syncs later", Some("periodic"), "FAIL"),
            ("one does not say", None, "warn"),
        ];
        let all = ["silent", "periodic"].map(|said| {
            let commitlog_sync = Some(said.to_owned()).filter(|it| it != "silent");
            node(3, answer("5.0.8", 0, "v2").map(|it| NodeReply { commitlog_sync, ..it }))
        });
        assert_eq!(sync(&about(all.into(), &[])).word(), "FAIL", "one does not say, one is late");
        for (name, said, want) in rows {
            let other = answer("5.0.8", 0, "v2").map(|it| {
                let commitlog_sync = said.map(str::to_owned);
                NodeReply { commitlog_sync, ..it }
            });
            let nodes = vec![node(1, answer("5.0.8", 0, "v2")), node(2, other)];
            let verdict = sync(&about(nodes, &[]));
            assert_eq!(verdict.word(), want, "{name}: {verdict:?}");
        }
    }

    #[test]
    fn events_that_wait() {
        let away = || Err(HotError::Unavailable("away".into()));
        let cases = [
            ("none", Ok(EventsAside::default()), "ok"),
            ("an event", Ok(EventsAside { events: 1, ..EventsAside::default() }), "warn"),
            ("a part", Ok(EventsAside { parts: 1, ..EventsAside::default() }), "warn"),
            ("no answer", away(), "FAIL"),
        ];
        for (name, aside, want) in cases {
            assert_eq!(events(aside).word(), want, "{name}");
        }
    }

    #[test]
    fn data_centres() {
        let (one, two): (&[_], &[_]) = (&[("dc1", 3)], &[("dc1", 3), ("dc2", 3)]);
        let cases = [
            ("one, and nothing said", one, None, "ok"),
            ("one, and named", one, Some("dc1"), "ok"),
            ("another one named", one, Some("mars"), "FAIL"),
            ("two, and one named", two, Some("dc2"), "ok"),
            ("two, and nothing said", two, None, "FAIL"),
        ];
        for (name, copies, named, want) in cases {
            let verdict = replication(&about(Vec::new(), copies), named);
            assert_eq!(verdict.word(), want, "{name}: {verdict:?}");
        }
    }

    #[test]
    fn versions() {
        let (cassandra, scylla) = (CqlEngine::Cassandra, CqlEngine::Scylla);
        let cases = [
            ("the first Cassandra", cassandra, "5.0.0", true),
            ("one to come", cassandra, "5.0-beta1", true),
            ("a later one", cassandra, "6.1.2", true),
            ("one before", cassandra, "4.1.9", false),
            ("the first ScyllaDB", scylla, "2025.4.0-0.20251201.abcdef", true),
            ("a later one of it", scylla, "2026.1.3", true),
            ("one before it", scylla, "2025.3.9", false),
            ("a candidate", scylla, "2025.4~rc2", true),
            ("nothing", cassandra, "", false),
        ];
        for (name, engine, text, good) in cases {
            assert_eq!(matches!(version(engine, text), Verdict::Ok(_)), good, "{name}");
        }
    }

    #[test]
    fn schemas() {
        let difference = |mendable| SchemaDifference {
            what: "coupon.hold".into(),
            why: "is text".into(),
            mendable,
        };
        let said = |mendable| schema(&[difference(mendable)]);
        let mended = "coupon.hold: is text: run `couponry schema apply`";
        assert_eq!(said(true), [Verdict::Fail(mended.into())]);
        assert_eq!(said(false), [Verdict::Fail("coupon.hold: is text".into())]);
        assert!(matches!(schema(&[]).as_slice(), [Verdict::Ok(_)]));
    }
}
