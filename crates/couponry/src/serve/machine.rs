//! What the console shows of this machine: sizes, and keys without their secrets.

use std::path::Path;

use ::console::{KeyInfo, KeyUse, MachineStatus};

use crate::files;
use crate::keys::{Key, Keys, Kind};

pub(super) fn machine(data: &Path) -> MachineStatus {
    let len = |name: &str| data.join(name).metadata().ok().map(|about| about.len());
    let store = hot_sqlite::FILE_NAME;
    MachineStatus {
        store_bytes: len(store),
        log_bytes: len(&format!("{store}-wal")),
        free_bytes: files::free_bytes(data).ok(),
        memory_bytes: memory(),
        keys: Keys::load(data).map(|keys| shown(&keys)).unwrap_or_default(),
    }
}

fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

fn shown(keys: &Keys) -> Vec<KeyInfo> {
    let info = |key: &Key| KeyInfo {
        use_of: match key.kind {
            Kind::Code => KeyUse::Code,
            Kind::Token => KeyUse::Token,
        },
        id: key.id.clone(),
        made_at: key.made_at,
        retired_at: key.retired_at,
        is_newest: keys.newest(key.kind).is_some_and(|newest| newest.id == key.id),
    };
    keys.all.iter().map(info).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_keys() {
        let data = tempfile::TempDir::new().unwrap();
        assert_eq!(machine(data.path()).store_bytes, None, "a store on a cluster has no file");
        std::fs::write(data.path().join(hot_sqlite::FILE_NAME), [0; 7]).unwrap();
        let mut keys = Keys::load_or_make(data.path()).unwrap();
        let second = keys.add(Kind::Token).unwrap();
        let found = machine(data.path());
        assert_eq!((found.store_bytes, found.log_bytes), (Some(7), None));
        assert!(found.free_bytes.is_some());
        // Not every system says it.
        assert!(found.memory_bytes.is_none_or(|bytes| bytes > 1_000_000), "{found:?}");
        let newest: Vec<&KeyInfo> = found.keys.iter().filter(|key| key.is_newest).collect();
        assert_eq!((found.keys.len(), newest.len()), (3, 2));
        assert!(newest.iter().any(|key| key.id == second.id && key.use_of == KeyUse::Token));
    }
}
