//! A disk at some moment of a journal: what is durable, and what a power cut may lose.
//!
//! What was synced is there. Of the rest, each write, each size and each name is kept or lost,
//! independently of the others and of their order; a write may also be torn between two sectors. A
//! name is durable when its folder was synced, a folder when the folder above it was: a sync of a
//! file says nothing about its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::dice::Dice;
use super::file::FileState;
use super::journal::Step;

/// A change and its number on this disk.
pub(super) type Numbered<T> = (u64, T);

/// The files and folders, each by its place in `objects`.
pub(super) struct Disk {
    objects: Vec<Object>,
    /// The object that has an inode now.
    inodes: BTreeMap<u64, usize>,
    /// The syncs under way: the object, and the number of the first change that is not in it.
    syncs: BTreeMap<u64, (usize, u64)>,
    root: usize,
    next: u64,
}

enum Object {
    File(FileState),
    Folder(Folder),
}

#[derive(Default)]
struct Folder {
    synced: BTreeMap<String, usize>,
    pending: Vec<Numbered<Naming>>,
}

/// A change of the names in a folder.
#[derive(Clone)]
enum Naming {
    Set(String, usize),
    Remove(String),
    /// Both at once.
    Rename {
        old: String,
        new: String,
        object: usize,
    },
    /// The old name of an object that has moved to another folder. A journal of a file system never
    /// loses both names, so it goes only if the new name is there.
    Left {
        old: String,
        to: usize,
        arrival: u64,
    },
}

/// The names of a folder, decided at a cut.
type Decided = (BTreeMap<String, usize>, BTreeSet<u64>);

impl Disk {
    pub(super) fn new() -> Disk {
        let (objects, inodes, syncs) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Disk { objects, inodes, syncs, root: 0, next: 0 }
    }

    /// Does the next step of the journal.
    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Root(inode) => self.root = self.made(*inode, Object::Folder(Folder::default())),
            Step::Create { folder, name, file } => {
                let object = self.made(*file, Object::File(FileState::default()));
                self.named(*folder, Naming::Set(name.clone(), object));
            }
            Step::MakeFolder { above, name, folder } => {
                let object = self.made(*folder, Object::Folder(Folder::default()));
                self.named(*above, Naming::Set(name.clone(), object));
            }
            Step::Link { folder, name, file } => {
                let object = self.inodes[file];
                self.named(*folder, Naming::Set(name.clone(), object));
            }
            Step::Rename { from, old, to, new, object } => {
                let (object, old, new) = (self.inodes[object], old.clone(), new.clone());
                if from == to {
                    self.named(*from, Naming::Rename { old, new, object });
                } else {
                    let arrival = self.named(*to, Naming::Set(new, object));
                    let to = self.inodes[to];
                    self.named(*from, Naming::Left { old, to, arrival });
                }
            }
            Step::Unlink { folder, name } => {
                self.named(*folder, Naming::Remove(name.clone()));
            }
            Step::Write { file, at, bytes } => {
                let number = self.number();
                self.file(*file).write(number, *at, bytes.clone());
            }
            Step::Truncate { file, size } => {
                let number = self.number();
                self.file(*file).truncate(number, *size);
            }
            Step::SyncBegins { object, sync } => {
                let begun = (self.inodes[object], self.next);
                self.syncs.insert(*sync, begun);
            }
            Step::SyncEnds { sync } => {
                let (object, before) = self.syncs.remove(sync).expect("a sync begins first");
                self.synced(object, before);
            }
            Step::Unsupported { path, call } => panic!("{call} of {path} cannot be recorded"),
            Step::Note(_) | Step::Failed { .. } => {}
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn made(&mut self, inode: u64, object: Object) -> usize {
        self.objects.push(object);
        self.inodes.insert(inode, self.objects.len() - 1);
        self.objects.len() - 1
    }

    fn file(&mut self, inode: u64) -> &mut FileState {
        let object = self.inodes[&inode];
        match &mut self.objects[object] {
            Object::File(file) => file,
            Object::Folder(_) => panic!("inode {inode} is a folder"),
        }
    }

    fn folder(&mut self, object: usize) -> &mut Folder {
        match &mut self.objects[object] {
            Object::Folder(folder) => folder,
            Object::File(_) => panic!("object {object} is a file"),
        }
    }

    fn named(&mut self, folder: u64, naming: Naming) -> u64 {
        let (number, object) = (self.number(), self.inodes[&folder]);
        self.folder(object).pending.push((number, naming));
        number
    }

    /// Makes durable what was done to an object before a moment.
    fn synced(&mut self, object: usize, before: u64) {
        let folder = match &mut self.objects[object] {
            Object::File(file) => return file.sync(before),
            Object::Folder(folder) => folder,
        };
        let done = folder.pending.partition_point(|(number, _)| *number < before);
        let done: Vec<Numbered<Naming>> = folder.pending.drain(..done).collect();
        for (_, naming) in &done {
            folder.synced = named(std::mem::take(&mut folder.synced), naming);
        }
        for (_, naming) in done {
            // The old name is gone for good, so the new one has to be there.
            if let Naming::Left { to, arrival, .. } = naming {
                let there = self.folder(to);
                if let Some(at) = there.pending.iter().position(|(number, _)| *number == arrival) {
                    let (_, naming) = there.pending.remove(at);
                    there.synced = named(std::mem::take(&mut there.synced), &naming);
                }
            }
        }
    }

    /// Writes what a power cut at this moment leaves to the new folder `to`. Returns a line for
    /// each file or folder that has lost something.
    pub(super) fn cut(&self, dice: &mut Dice, to: &Path) -> Vec<String> {
        let mut decided: BTreeMap<usize, Decided> = BTreeMap::new();
        let mut lost = Vec::new();
        for (at, object) in self.objects.iter().enumerate() {
            if let Object::Folder(folder) = object {
                decided.insert(at, folder.decide(dice));
            }
        }
        // After all have decided: whether a name has left depends on the folder it went to.
        for (at, object) in self.objects.iter().enumerate() {
            let Object::Folder(folder) = object else { continue };
            let (_, kept) = &decided[&at];
            let mut names = folder.synced.clone();
            for (number, naming) in folder.pending.iter().filter(|(it, _)| kept.contains(it)) {
                if let Naming::Left { to, arrival, .. } = naming
                    && self.is_pending(*to, *arrival)
                    && !decided[to].1.contains(arrival)
                {
                    lost.push(format!("change {number} of names: not without the other"));
                    continue;
                }
                names = named(names, naming);
            }
            decided.insert(at, (names, kept.clone()));
        }
        let mut bytes = BTreeMap::new();
        fs::create_dir(to).expect("a new folder");
        self.write(self.root, to, Path::new(""), &decided, &mut bytes, dice, &mut lost);
        lost
    }

    fn is_pending(&self, folder: usize, number: u64) -> bool {
        match &self.objects[folder] {
            Object::Folder(folder) => folder.pending.iter().any(|(it, _)| *it == number),
            Object::File(_) => false,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one walk over folders, with what it decides")]
    fn write(
        &self,
        folder: usize,
        to: &Path,
        path: &Path,
        decided: &BTreeMap<usize, Decided>,
        bytes: &mut BTreeMap<usize, Vec<u8>>,
        dice: &mut Dice,
        lost: &mut Vec<String>,
    ) {
        let (names, kept) = &decided[&folder];
        if let Object::Folder(folder) = &self.objects[folder]
            && kept.len() < folder.pending.len()
        {
            let (kept, all) = (kept.len(), folder.pending.len());
            lost.push(format!("{}/: {kept} of {all} changes of names", path.display()));
        }
        for (name, object) in names {
            let (to, path) = (to.join(name), path.join(name));
            match &self.objects[*object] {
                Object::Folder(_) => {
                    fs::create_dir(&to).expect("a folder");
                    self.write(*object, &to, &path, decided, bytes, dice, lost);
                }
                Object::File(file) => {
                    let contents = bytes.entry(*object).or_insert_with(|| {
                        let (contents, told) = file.cut(dice);
                        lost.extend(told.map(|told| format!("{}: {told}", path.display())));
                        contents
                    });
                    fs::write(&to, contents).expect("a file");
                    // What SQLite left in the index of its log means nothing after a cut.
                    if let Some(store) = name.strip_suffix("-wal")
                        && dice.chance(25)
                    {
                        let garbage: Vec<u8> =
                            (0..4_096).flat_map(|_| dice.next().to_le_bytes()).collect();
                        fs::write(to.with_file_name(format!("{store}-shm")), garbage)
                            .expect("a file");
                    }
                }
            }
        }
    }
}

impl Folder {
    /// The numbers of the changes that are kept.
    fn decide(&self, dice: &mut Dice) -> Decided {
        let all = || self.pending.iter().map(|(number, _)| *number);
        let kept = match dice.below(4) {
            0 => BTreeSet::new(),
            1 => all().collect(),
            2 => all().take(dice.below(self.pending.len() + 1)).collect(),
            _ => all().filter(|_| dice.chance(50)).collect(),
        };
        (BTreeMap::new(), kept)
    }
}

/// The names after a change.
fn named(mut names: BTreeMap<String, usize>, naming: &Naming) -> BTreeMap<String, usize> {
    match naming {
        Naming::Set(name, object) => drop(names.insert(name.clone(), *object)),
        Naming::Remove(name) | Naming::Left { old: name, .. } => drop(names.remove(name)),
        Naming::Rename { old, new, object } => {
            names.remove(old);
            names.insert(new.clone(), *object);
        }
    }
    names
}
