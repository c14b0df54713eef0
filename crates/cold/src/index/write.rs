//! Writing files of the holder index.

use coupon::ids::UserId;

use crate::encoder::{FileEncoder, NewFiles};
use crate::indexed::HolderIndexRow;
use crate::location::StoreLocation;
use crate::names::FileOrigin;
use crate::schema::HOLDER_INDEX;
use crate::{encode, names};

/// Rows handed to the encoder at a time.
pub(super) const PIECE: usize = 2_048;

/// Chunks that wait for the encoder.
const CHUNKS_MAX: usize = 2;

const SLICE: usize = 512;

/// A file ends at the end of a holder, unless that holder alone fills this many files.
const ONE_HOLDER_FILES: u64 = 4;

/// Starts an encoder that takes rows in the order of the index, and cuts them into files of one
/// level.
pub(super) fn encoder(
    location: &StoreLocation,
    level: u8,
    origin: FileOrigin,
    file_bytes: u64,
) -> FileEncoder<Vec<HolderIndexRow>> {
    let name = move || names::index_file(level, origin);
    let files = NewFiles::new(location, &HOLDER_INDEX, HOLDER_INDEX.group_bytes, name);
    // The holder of the last row.
    let mut last: Option<UserId> = None;
    FileEncoder::start(files, CHUNKS_MAX, move |files: &mut NewFiles, rows: Vec<HolderIndexRow>| {
        let mut rows = rows.as_slice();
        while !rows.is_empty() {
            let bytes = files.bytes();
            let is_last = |row: &&HolderIndexRow| row.coupon.holder() == last.as_ref();
            let some = match bytes >= file_bytes {
                true => rows.iter().take(SLICE).take_while(is_last).count(),
                false => rows.len().min(SLICE),
            };
            let (now, later) = rows.split_at(some);
            if now.is_empty() || bytes >= file_bytes.saturating_mul(ONE_HOLDER_FILES) {
                files.close()?;
                continue;
            }
            files.write(encode::indexed(now))?;
            last = now.last().and_then(|row| row.coupon.holder().cloned());
            rows = later;
        }
        Ok(())
    })
}
