//! What must be true of a folder after a power cut: it opens, `verify` finds nothing, and all that
//! was acknowledged is there.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cold::ColdStore;
use compactor::{ClosedPolicy, Compactor, check_pairing};
use coupon::coupon::EventKind;
use coupon::minted::CodeKey;
use engine::{Caller, ColdArchive, CouponView, CouponsRequest, Engine, Role, SystemClock};
use hot::HotStore;
use hot_sqlite::SqliteHot;
use router::{KeyRing, Router};
use tokio::runtime::{Builder, Runtime};
use verify::{Finding, Verifier};

use super::known::Known;

/// Checks folders in this process, which is much faster than a process for each.
pub(super) struct Checker {
    runtime: Runtime,
}

impl Checker {
    pub(super) fn new() -> Checker {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Checker { runtime: runtime.expect("a runtime") }
    }

    /// Checks the folder `root`, which a cut has left. `compacts`: and then compacts it, and checks
    /// it again.
    pub(super) fn check(&self, root: &Path, known: &[Known], compacts: bool) -> Result<(), String> {
        let checked = || self.runtime.block_on(checked(root, known, compacts));
        catch_unwind(AssertUnwindSafe(checked)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("it panics: {}", text.unwrap_or("for an unknown reason")))
        })
    }
}

async fn checked(root: &Path, known: &[Known], compacts: bool) -> Result<(), String> {
    let data = root.join("data");
    if known.is_empty() && !data.exists() {
        return Ok(());
    }
    let ring = keys(&data, known)?;
    let engine = opened(&data, &data.join("cold"), &ring).await?;
    check_pairing(engine.hot(), engine.cold()).await.map_err(|error| error.to_string())?;
    verified(&engine, &ring).await?;
    has(&engine, known).await?;
    backups(root, known).await?;
    if compacts {
        compacted(&engine).await?;
        let after = |error| format!("after a compaction: {error}");
        verified(&engine, &ring).await.map_err(after)?;
        has(&engine, known).await.map_err(after)?;
    }
    Ok(())
}

/// The code keys of a data folder, which has every key that is known.
fn keys(data: &Path, known: &[Known]) -> Result<KeyRing, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(data.join("keys")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".key") {
            let text = fs::read_to_string(entry.path());
            found.insert(name, text.map_err(|error| error.to_string())?);
        }
    }
    for known in known {
        let Known::Keys(keys) = known else { continue };
        if let Some(name) = keys.iter().find(|(name, text)| found.get(*name) != Some(text)) {
            return Err(format!("the key {} is not as it was", name.0));
        }
    }
    let mut codes = Vec::new();
    for (name, text) in found {
        let table = text.parse::<toml::Table>().map_err(|error| format!("{name}: {error}"))?;
        let secret = table.get("secret").and_then(toml::Value::as_str);
        let secret = secret.and_then(unhex).ok_or_else(|| format!("{name} has no secret"))?;
        if let Ok(secret) = <[u8; 16]>::try_from(secret) {
            codes.push(CodeKey::new(secret));
        }
    }
    Ok(KeyRing::from(codes))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

async fn opened(data: &Path, cold: &Path, ring: &KeyRing) -> Result<Arc<Engine>, String> {
    let cold = Arc::new(ColdStore::on_folder(cold, cold::ColdOptions::default()));
    let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
    let options =
        hot_sqlite::SqliteOptions { free_min_bytes: 0, ..hot_sqlite::SqliteOptions::default() };
    let hot = SqliteHot::open(data, ring.clone(), archive, options);
    let hot: Arc<dyn HotStore> = Arc::new(hot.map_err(|error| error.to_string())?);
    let here = ring.current();
    let used = hot.keys_in_use().await.map_err(|error| error.to_string())?;
    if let Some(id) = used.iter().find(|id| here.iter().all(|key| key.id() != **id)) {
        return Err(format!("the key {id} of a batch is not there"));
    }
    Ok(Arc::new(Engine::new(hot, cold, Router::new(ring.clone()), Arc::new(SystemClock))))
}

async fn verified(engine: &Engine, ring: &KeyRing) -> Result<(), String> {
    let (codes, mut found) = (ring.current(), Vec::new());
    // Nothing else runs, so what looks wrong is wrong.
    let pauses = Some(vec![Duration::ZERO]);
    let options = verify::VerifyOptions { pauses, ..verify::VerifyOptions::default() };
    let tell = |finding: &Finding| {
        let Finding { kind, about, one, other } = finding;
        found.push(format!("{} {about}: {one}; {other}", kind.name()));
    };
    let verifier = Verifier::new(
        engine.hot(),
        engine.cold(),
        &codes,
        engine.now(),
        options,
        Box::new(tell),
        Box::new(|_| {}),
    );
    let ran = verifier.run().await;
    match ran {
        Ok(_) if found.is_empty() => Ok(()),
        Ok(_) => Err(format!("verify finds: {}", found.join("\n  "))),
        Err(error) => Err(format!("verify cannot finish: {error}")),
    }
}

/// Checks that every acknowledged change is there, once.
async fn has(engine: &Arc<Engine>, known: &[Known]) -> Result<(), String> {
    let all = every_coupon(engine).await?;
    for known in known {
        let missing = match known {
            Known::Keys(_) | Known::Backup { .. } => None,
            Known::Imported { codes } => codes.iter().find(|code| !all.contains_key(*code)),
            Known::Issued { code, user } => {
                let is_it = |kind: &EventKind| match kind {
                    EventKind::Issued { to, .. } => to.as_str() == user,
                    _ => false,
                };
                (count(&all, code, is_it) != 1).then_some(code)
            }
            Known::Redeemed { code, order } => {
                let is_it = |kind: &EventKind| match kind {
                    EventKind::Redeemed { order: it, .. } => it.as_str() == order,
                    _ => false,
                };
                (count(&all, code, is_it) != 1).then_some(code)
            }
        };
        if let Some(code) = missing {
            let there = all.get(code).map(|view| view.coupon.events());
            return Err(format!("{code}: {known:?} was acknowledged, and there is {there:?}"));
        }
    }
    Ok(())
}

async fn every_coupon(engine: &Arc<Engine>) -> Result<BTreeMap<String, CouponView>, String> {
    let caller = Caller::new(Role::Admin, "test".parse().expect("a name"));
    let begun = Arc::clone(engine).every_coupon(&caller, CouponsRequest::default()).await;
    let mut stream = begun.map_err(|error| format!("{error:?}"))?;
    let mut all = BTreeMap::new();
    while let Some(some) = stream.next().await.map_err(|error| format!("{error:?}"))? {
        for view in some.rows {
            if let Some(twice) = all.insert(view.code.clone(), view) {
                return Err(format!("{} is there twice", twice.code));
            }
        }
    }
    Ok(all)
}

/// How many events of a coupon these are.
fn count(
    all: &BTreeMap<String, CouponView>,
    code: &str,
    is_it: impl Fn(&EventKind) -> bool,
) -> usize {
    let events = all.get(code).map_or(&[][..], |view| view.coupon.events());
    events.iter().filter(|event| is_it(&event.kind)).count()
}

async fn compacted(engine: &Engine) -> Result<(), String> {
    let (hot, cold) = (engine.partitions(), Arc::clone(engine.cold()));
    let settings = compactor::CompactionSettings::default();
    let compactor = Compactor::new(hot, cold, settings, Arc::new(|_| {}));
    let report = compactor.run(engine.now(), ClosedPolicy::Now).await;
    let report = report.map_err(|error| format!("it cannot be compacted: {error}"))?;
    match (report.failed.first(), &report.not_indexed) {
        (None, None) => Ok(()),
        (Some((work, error)), _) => Err(format!("{work:?} cannot be compacted: {error}")),
        (None, Some(error)) => Err(format!("it cannot be indexed: {error}")),
    }
}

/// A backup that has its name is complete, and one that is known is there.
async fn backups(root: &Path, known: &[Known]) -> Result<(), String> {
    let mut there: BTreeMap<String, usize> = BTreeMap::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("backup-") && !name.ends_with(".part") {
            there.insert(name, 0);
        }
    }
    for known in known {
        if let Known::Backup { name, has } = known {
            let counted = there.get_mut(name).ok_or_else(|| format!("{name} is not there"))?;
            *counted = *has;
        }
    }
    for (name, count) in there {
        let folder = root.join(&name);
        if !folder.join(hot_sqlite::FILE_NAME).exists() {
            return Err(format!("{name} has its name and no store"));
        }
        let about = |error| format!("{name}: {error}");
        let ring = keys(&folder, &known[..count]).map_err(about)?;
        let cold = root.join("data").join("cold");
        let engine = opened(&folder, &cold, &ring).await.map_err(about)?;
        has(&engine, &known[..count]).await.map_err(about)?;
    }
    Ok(())
}
