//! Records what processes do to one folder, and lets one call of theirs fail: `recorder.c`, loaded
//! into them.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::journal::{self, Step};
use super::shim::built;

const SOURCE: &str = include_str!("recorder.c");

/// A recorded folder.
pub(super) struct Recorder {
    library: PathBuf,
    root: PathBuf,
    journal: PathBuf,
    fault: PathBuf,
}

impl Recorder {
    /// Records from now on what happens to `root`, which exists. What is in it counts as durable.
    /// `beside` is another folder, for the journal.
    pub(super) fn new(beside: &Path, root: &Path) -> Recorder {
        let root = root.canonicalize().expect("the recorded folder");
        let library = beside.join("recorder.so");
        if !library.exists() {
            built(beside, "recorder", SOURCE);
        }
        let (journal, fault) = (beside.join("journal"), beside.join("fault"));
        let inode = fs::metadata(&root).expect("the recorded folder").ino();
        let mut first = journal::root(inode);
        existing(&root, inode, &mut first);
        fs::write(&journal, first).expect("a journal");
        Recorder { library, root, journal, fault }
    }

    /// The file that the records are in.
    pub(super) fn journal(&self) -> &Path {
        &self.journal
    }

    pub(super) fn load_into(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("RECORD_ROOT", &self.root).env("RECORD_JOURNAL", &self.journal);
    }

    /// The same for a process whose calls may fail.
    pub(super) fn load_failing_into(&self, command: &mut Command) {
        self.load_into(command);
        command.env("RECORD_FAULT", &self.fault);
    }

    /// From now on the `nth` write or sync, counted from 1, fails with this error. `ending` is how
    /// the names of the files end that count.
    pub(super) fn fail(&self, nth: usize, error: i32, ending: &str) {
        let part = self.fault.with_extension("part");
        fs::write(&part, format!("{} {nth} {error} {ending}", nth + 1)).expect("a fault");
        fs::rename(&part, &self.fault).expect("a fault");
    }

    pub(super) fn heal(&self) {
        fs::remove_file(&self.fault).expect("a fault");
    }

    /// Writes down what is known at this moment.
    pub(super) fn note(&self, text: &str) {
        let mut journal = OpenOptions::new().append(true).open(&self.journal).expect("a journal");
        journal.lock().expect("the lock that the processes share");
        journal.write_all(&journal::note(text)).expect("a note");
    }

    /// All that happened so far.
    pub(super) fn steps(&self) -> Vec<Step> {
        let journal = File::open(&self.journal).expect("a journal");
        journal.lock().expect("the lock that the processes share");
        journal::steps(&fs::read(&self.journal).expect("a journal"))
    }
}

/// Describes what is in a folder.
fn existing(folder: &Path, inode: u64, journal: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let found = fs::metadata(&path).expect("an entry");
        if found.is_dir() {
            journal.extend(journal::existing_folder(inode, &name, found.ino()));
            existing(&path, found.ino(), journal);
        } else if !name.ends_with("-shm") {
            let bytes = fs::read(&path).expect("a file");
            journal.extend(journal::existing_file(inode, &name, found.ino(), &bytes));
        }
    }
}
