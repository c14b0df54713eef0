//! Whether the disk has room for a write.

use std::path::Path;

/// Fewest free bytes, whatever the setting is: the pages of one small group.
const FREE_LEAST: u64 = 64 << 10;

/// The error is a sentence that says why there is no room to write.
pub(crate) fn free_space(folder: &Path, free_min: u64) -> Result<(), String> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| error.to_string())?;
    if stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Err(format!("{} is mounted read-only", folder.display()));
    }
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < free_min.max(FREE_LEAST) {
        let mib = |bytes: u64| bytes >> 20;
        return Err(format!(
            "{} has {} MiB free, couponry writes from {} MiB on",
            folder.display(),
            mib(free),
            mib(free_min)
        ));
    }
    Ok(())
}
