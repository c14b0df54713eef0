use super::*;

const DAY: i64 = 86_400_000;

/// Noon UTC of the 60th day of 1970, which is 2 March.
const NOW: Millis = Millis(60 * DAY + DAY / 2);

fn key(code: &str, expires_on: &str) -> Key {
    Key::try_from(("ann".to_owned(), expires_on.to_owned(), code.to_owned(), 7)).unwrap()
}

fn notice(id: &str, expires_at: &str) -> Notice {
    let line = format!(
        r#"{{"notice_id":"ntc_{id}","user_id":"ann","coupons":[{{"code":"CODE","days":7,"expires_at":"{expires_at}","expires_on":"1970-03-05"}}]}}"#
    );
    Notice::read(&line).unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("stdout")
    }

    fn open(&self, days: &[u16], now: Millis) -> (Memory, Recalled, Vec<String>) {
        let mut codes = Vec::new();
        let mut tell = |key: &Key| {
            codes.push(key.code.clone());
            Ok(())
        };
        let (memory, recalled) = Memory::open(&self.path(), days, now, &mut tell).unwrap();
        (memory, recalled, codes)
    }
}

#[test]
fn what_is_recalled() {
    let folder = Folder::new();
    let (mut memory, first, codes) = folder.open(&[7], NOW);
    let watch = |days, since| Watch { days, since };
    assert_eq!(first.watches, [watch(7, NOW)]);
    assert!(codes.is_empty());
    let later = Millis(NOW.0 + DAY);
    let mark = Mark { device: 1, inode: 2, end: 3 };
    let (unknown, taken) = ("1970-03-06T00:00:00.000Z", "1970-03-06T00:00:00.000Z");
    let records = [
        Record::Told(key("LONG-OVER", "1970-02-28")),
        Record::Told(key("OVER-IN-UTC", "1970-03-01")),
        Record::Told(key("RUNNING", "1970-03-05")),
        Record::File(Mark { end: 1, ..mark }),
        Record::File(mark),
        Record::Try(notice("unknown", unknown).line),
        Record::Try(notice("taken", taken).line),
        Record::Try(notice("expired", "1970-03-02T00:00:00.000Z").line),
        Record::Done("ntc_taken".to_owned()),
    ];
    for record in &records {
        memory.add(record).unwrap();
    }
    memory.keep().unwrap();
    drop(memory);
    // The second time from a journal that was rewritten.
    for name in ["once", "again"] {
        let (_memory, recalled, codes) = folder.open(&[3, 7], later);
        assert_eq!(codes, ["OVER-IN-UTC", "RUNNING"], "{name}");
        assert_eq!(recalled.watches, [watch(3, later), watch(7, NOW)], "{name}");
        assert_eq!(recalled.file, Some(mark), "{name}");
        assert_eq!(recalled.pending, [notice("unknown", unknown)], "{name}");
    }
    let (_memory, recalled, _) = folder.open(&[7], Millis(later.0 + DAY));
    assert_eq!(recalled.watches, [watch(7, NOW)], "only those asked for");
    drop(_memory);
    let (_memory, recalled, _) = folder.open(&[3], Millis(later.0 + DAY));
    assert_eq!(recalled.watches, [watch(3, later)], "those left out once are not forgotten");
}

#[test]
fn one_at_a_time() {
    let folder = Folder::new();
    let held = folder.open(&[7], NOW);
    let mut tell = |_: &Key| Ok(());
    let second = Memory::open(&folder.path(), &[7], NOW, &mut tell);
    let error = second.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("another `couponry notify`"), "{error}");
    // Looking takes no lock.
    Memory::look(&folder.path(), &[7], NOW, &mut tell).unwrap();
    drop(held);
    Memory::open(&folder.path(), &[7], NOW, &mut tell).unwrap();
}

#[test]
fn torn_and_damaged() {
    let told = line(&Record::Told(key("CODE", "1970-03-05"))).unwrap();
    let cases = [
        ("whole", format!("{told}\n"), Some(1)),
        ("without its end", told.clone(), Some(0)),
        ("torn behind a whole one", format!("{told}\n{}", &told[..9]), Some(1)),
        ("damaged", format!("{}\n{told}\n", &told[..9]), None),
        ("of a newer release", "{\"asked\":1}\n".to_owned(), None),
    ];
    for (name, text, want) in cases {
        let folder = Folder::new();
        std::fs::create_dir(folder.path()).unwrap();
        std::fs::write(folder.path().join("journal"), &text).unwrap();
        let mut count = 0;
        let mut tell = |_: &Key| {
            count += 1;
            Ok(())
        };
        let opened = Memory::open(&folder.path(), &[7], NOW, &mut tell);
        match want {
            Some(want) => assert_eq!((opened.is_ok(), count), (true, want), "{name}"),
            None => {
                assert!(opened.is_err(), "{name}");
                let kept = std::fs::read_to_string(folder.path().join("journal")).unwrap();
                assert_eq!(kept, text, "{name}: it is left as it was");
            }
        }
    }
}
