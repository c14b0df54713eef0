//! The cold store through its public boundary: on folders, and on a store that counts.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

mod tables {
    mod archived;
    mod commit;
    mod damage;
    mod erasure;
    mod find;
    mod holder_index;
    mod holders;
    mod many;
    mod sample;
    mod scan;
    mod schema;
    mod stores;
    mod sweep;
}
