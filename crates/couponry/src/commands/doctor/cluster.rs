//! What a cluster has to be like.

use std::time::Duration;

use hot::cql::{Difference, Engine, Keyspace};

use super::{Report, Verdict};
use crate::cluster::{self, Cluster};
use crate::failure::Sorry;
use crate::settings::Settings;

/// A conditional write past this makes every change wait: three nodes of one data centre take a
/// tenth of it.
pub(super) const SLOW_WRITE: Duration = Duration::from_millis(50);

/// Looks at the cluster itself.
pub(super) async fn report(
    settings: &Settings,
    cluster: &Cluster,
    report: &mut Report,
) -> Result<(), Sorry> {
    let verdict = match cluster.store.engine().await {
        Ok((engine, found)) => version(engine, &found),
        Err(error) => Verdict::Fail(error.to_string()),
    };
    report.add("cluster", verdict)?;
    let options = cluster::options(settings, &cluster.target);
    let verdicts = match Keyspace::connect(&options).await {
        Ok(keyspace) => match keyspace.differences().await {
            Ok(differences) => schema(&differences),
            Err(error) => vec![Verdict::Fail(error.to_string())],
        },
        Err(error) => vec![Verdict::Fail(error.to_string())],
    };
    verdicts.into_iter().try_for_each(|verdict| report.add("schema", verdict))
}

/// The first release of an engine that couponry is made for.
fn wanted(engine: Engine) -> (u32, u32) {
    match engine {
        Engine::Cassandra => (5, 0),
        // Conditional writes on tables of tablets came with it.
        Engine::Scylla => (2025, 4),
    }
}

/// Year or number, and what follows it, as `5.0.8` and `2025.4.1-0.20251201` have it.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-', '~']).map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
    Some((major, minor))
}

pub(super) fn version(engine: Engine, version: &str) -> Verdict {
    let (major, minor) = wanted(engine);
    let name = engine.name();
    match release(version) {
        Some(found) if found >= (major, minor) => Verdict::Ok(format!("{name} {version}")),
        Some(_) => Verdict::Warn(format!(
            "{name} {version}: couponry is made for {major}.{minor} and later"
        )),
        None => Verdict::Warn(format!("{name} of unknown release {version:?}")),
    }
}

pub(super) fn schema(differences: &[Difference]) -> Vec<Verdict> {
    if differences.is_empty() {
        return vec![Verdict::Ok("as this release wants it".into())];
    }
    let each = differences.iter().map(|it| match it.mendable {
        true => Verdict::Fail(format!("{it}: run `couponry schema apply`")),
        false => Verdict::Fail(it.to_string()),
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let (cassandra, scylla) = (Engine::Cassandra, Engine::Scylla);
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
        let difference =
            |mendable| Difference { what: "coupon.hold".into(), why: "is text".into(), mendable };
        let said = |mendable| schema(&[difference(mendable)]);
        let mended = "coupon.hold: is text: run `couponry schema apply`";
        assert_eq!(said(true), [Verdict::Fail(mended.into())]);
        assert_eq!(said(false), [Verdict::Fail("coupon.hold: is text".into())]);
        assert!(matches!(schema(&[]).as_slice(), [Verdict::Ok(_)]));
    }
}
