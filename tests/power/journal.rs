//! The journal that `recorder.c` writes: what processes did to the files of one folder, in order.
//!
//! Files and folders are named by their inode. The number of a deleted file may be used again: its
//! new owner begins with [`Step::Create`] or [`Step::MakeFolder`].

use std::sync::Arc;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// A new file with a name in a folder.
    Create {
        folder: u64,
        name: String,
        file: u64,
    },
    /// A new folder.
    MakeFolder {
        above: u64,
        name: String,
        folder: u64,
    },
    Write {
        file: u64,
        at: usize,
        bytes: Arc<[u8]>,
    },
    Truncate {
        file: u64,
        size: usize,
    },
    /// A sync of a file or a folder begins: what was done to it before is durable at its end.
    SyncBegins {
        object: u64,
        sync: u64,
    },
    SyncEnds {
        sync: u64,
    },
    /// A further name of a file.
    Link {
        folder: u64,
        name: String,
        file: u64,
    },
    Rename {
        from: u64,
        old: String,
        to: u64,
        new: String,
        object: u64,
    },
    /// A name of a file or of an empty folder goes.
    Unlink {
        folder: u64,
        name: String,
    },
    /// What the test knows at this moment, such as a write that has been acknowledged.
    Note(String),
    /// The inode of the recorded folder itself. It is durable.
    Root(u64),
    /// A call that was made to fail: the name of the file, and of the call.
    Failed {
        path: String,
        call: String,
    },
    /// A call that the journal cannot describe.
    Unsupported {
        path: String,
        call: String,
    },
}

const NOTE: u32 = 10;
const ROOT: u32 = 11;
const HEAD_BYTES: usize = 40;

/// The bytes of a note.
pub(super) fn note(text: &str) -> Vec<u8> {
    encoded(NOTE, [0; 3], "", text.as_bytes())
}

/// The first record of each journal.
pub(super) fn root(inode: u64) -> Vec<u8> {
    encoded(ROOT, [inode, 0, 0], "", &[])
}

/// The records of what was in a folder before: a file is made, written and synced.
pub(super) fn existing_file(folder: u64, name: &str, file: u64, bytes: &[u8]) -> Vec<u8> {
    let made = encoded(1, [folder, file, 0], name, &[]);
    [made, encoded(3, [file, 0, 0], "", bytes), synced(file), synced(folder)].concat()
}

/// The same for a folder.
pub(super) fn existing_folder(above: u64, name: &str, folder: u64) -> Vec<u8> {
    [encoded(2, [above, folder, 0], name, &[]), synced(above)].concat()
}

fn synced(object: u64) -> Vec<u8> {
    [encoded(5, [object, object, 0], "", &[]), encoded(6, [object, object, 0], "", &[])].concat()
}

fn encoded(kind: u32, numbers: [u64; 3], name: &str, data: &[u8]) -> Vec<u8> {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a short record");
    let mut record = Vec::with_capacity(HEAD_BYTES + name.len() + data.len());
    for word in [kind, len(name.as_bytes()), len(data), std::process::id()] {
        record.extend_from_slice(&word.to_le_bytes());
    }
    numbers.iter().for_each(|number| record.extend_from_slice(&number.to_le_bytes()));
    record.extend_from_slice(name.as_bytes());
    record.extend_from_slice(data);
    record
}

/// All steps of a journal.
pub(super) fn steps(journal: &[u8]) -> Vec<Step> {
    let (mut steps, mut rest) = (Vec::new(), journal);
    while !rest.is_empty() {
        let word = |at: usize| {
            u32::from_le_bytes(rest[at..at + 4].try_into().expect("four bytes")) as usize
        };
        let number =
            |at: usize| u64::from_le_bytes(rest[at..at + 8].try_into().expect("eight bytes"));
        let (kind, name_end) = (word(0), HEAD_BYTES + word(4));
        let end = name_end + word(8);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (name, data) = (text(&rest[HEAD_BYTES..name_end]), &rest[name_end..end]);
        let (a, b, at) = (number(16), number(24), number(32));
        let size = usize::try_from(at).expect("a small file");
        steps.push(match kind {
            1 => Step::Create { folder: a, name, file: b },
            2 => Step::MakeFolder { above: a, name, folder: b },
            3 => Step::Write { file: a, at: size, bytes: data.into() },
            4 => Step::Truncate { file: a, size },
            5 => Step::SyncBegins { object: a, sync: b },
            6 => Step::SyncEnds { sync: b },
            7 => Step::Link { folder: a, name, file: b },
            8 => Step::Rename { from: a, old: name, to: b, new: text(data), object: at },
            9 => Step::Unlink { folder: a, name },
            10 => Step::Note(text(data)),
            11 => Step::Root(a),
            12 => Step::Failed { path: name, call: text(data) },
            13 => Step::Unsupported { path: name, call: text(data) },
            other => panic!("a record of kind {other}"),
        });
        rest = &rest[end..];
    }
    steps
}
