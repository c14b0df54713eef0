use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use coupon::campaign::MintedRun;

use super::*;

/// A directory in memory that counts how often it is asked.
#[derive(Default)]
struct MemoryDirectory {
    entries: HashMap<String, Entry>,
    runs: Vec<(Owner, MintedRun)>,
    bits: Option<u8>,
    long: bool,
    reads: Mutex<Vec<&'static str>>,
}

impl MemoryDirectory {
    fn note(&self, what: &'static str) {
        self.reads.lock().unwrap().push(what);
    }

    fn reads(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.reads.lock().unwrap())
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    type Error = std::convert::Infallible;

    async fn entry(&self, code: &Code) -> Result<Option<Entry>, Self::Error> {
        self.note("entry");
        Ok(self.entries.get(code.as_str()).cloned())
    }

    async fn run_of(
        &self,
        key: KeyId,
        day: Day,
        serial: u64,
    ) -> Result<Option<OwnedRun>, Self::Error> {
        self.note("run");
        let found =
            self.runs.iter().find(|(_, run)| run.key == key && run.day == day && run.holds(serial));
        Ok(found.cloned().map(|(owner, run)| OwnedRun { owner, run, hint: None }))
    }

    async fn bucket_bits(&self, _day: Day) -> Result<Option<u8>, Self::Error> {
        self.note("bits");
        Ok(self.bits)
    }

    async fn has_long_codes(&self) -> Result<bool, Self::Error> {
        Ok(self.long)
    }
}

const DAY: Day = Day(20_800);

fn owner(campaign: &str) -> Owner {
    Owner { campaign: campaign.parse().unwrap(), batch: "b".parse().unwrap() }
}

fn directory(key: &CodeKey) -> MemoryDirectory {
    let run = MintedRun { key: key.id(), day: DAY, first: 100, count: 50 };
    let foreign = Entry::Coupon { day: DAY, owner: owner("foreign"), hint: Some(7) };
    MemoryDirectory {
        entries: HashMap::from([
            ("OLD0001".into(), foreign),
            ("SUMMER".into(), Entry::Shared { campaign: "shared".parse().unwrap() }),
        ]),
        runs: vec![(owner("minted"), run)],
        bits: Some(BUCKET_BITS_DEFAULT),
        ..MemoryDirectory::default()
    }
}

async fn campaign_of(router: &Router, directory: &MemoryDirectory, text: &str) -> Option<String> {
    match router.find(&text.parse().unwrap(), directory).await.unwrap()? {
        Found::Coupon(address) => Some(address.owner.campaign.to_string()),
        Found::Shared { campaign } => Some(campaign.to_string()),
    }
}

#[tokio::test]
async fn finds() {
    let key = CodeKey::new([7; 16]);
    let directory = directory(&key);
    let inside = key.mint(DAY, 149).printed(Some("SPRING"));
    let outside = key.mint(DAY, 150).to_string();
    let forged = CodeKey::new([8; 16]).mint(DAY, 149).to_string();
    let router = Router::new(vec![key]);
    let cases = [
        ("a minted code", inside.as_str(), Some("minted"), vec!["run", "bits"]),
        ("the same once more, from the cache", &inside.to_lowercase(), Some("minted"), vec![]),
        ("past the run", &outside, None, vec!["run"]),
        ("a forged code costs no read", &forged, None, vec![]),
        ("a foreign code", "old-0001", Some("foreign"), vec!["entry"]),
        ("a shared code", "Summer", Some("shared"), vec!["entry"]),
        ("an unknown one", "NOPE", None, vec!["entry"]),
    ];
    for (name, text, want, reads) in cases {
        assert_eq!(campaign_of(&router, &directory, text).await.as_deref(), want, "{name}");
        assert_eq!(directory.reads(), reads, "{name}: reads");
    }
}

#[tokio::test]
async fn a_store_with_long_foreign_codes_is_asked() {
    let directory = MemoryDirectory { long: true, ..directory(&CodeKey::new([7; 16])) };
    let router = Router::new(vec![CodeKey::new([7; 16])]);
    assert_eq!(campaign_of(&router, &directory, "ABCDEFGHJKMNPQRSTVWXYZ").await, None);
    assert_eq!(directory.reads(), ["entry"]);
}

#[tokio::test]
async fn two_keys_that_open_one_code_are_told_apart_by_the_run() {
    // Same serial and day under another key: the code opens under its own key alone, and a run
    // of that day and serial under the first key must not claim it.
    let (first, second) = (CodeKey::new([7; 16]), CodeKey::new([9; 16]));
    let mut directory = directory(&first);
    let run = MintedRun { key: second.id(), day: DAY, first: 150, count: 10 };
    directory.runs.push((owner("second"), run));
    let (in_first, in_second) = (second.mint(DAY, 120).to_string(), second.mint(DAY, 155));
    let router = Router::new(vec![first, second]);
    assert_eq!(campaign_of(&router, &directory, &in_first).await, None);
    let found = campaign_of(&router, &directory, in_second.as_str()).await;
    assert_eq!(found.as_deref(), Some("second"));
}

#[tokio::test]
async fn a_bucket_comes_with_the_plan_of_its_day() {
    let key = CodeKey::new([7; 16]);
    let text: CodeText = key.mint(DAY, 149).to_string().parse().unwrap();
    let mut directory = directory(&key);
    let router = Router::new(vec![key]);
    let cases = [
        ("no plan", None, vec!["run", "bits"]),
        ("still no plan", None, vec!["bits"]),
        ("a plan", Some(4), vec!["bits"]),
        ("the plan from the cache", Some(4), vec![]),
    ];
    for (name, bits, reads) in cases {
        directory.bits = bits;
        let address = match router.find(&text, &directory).await.unwrap() {
            Some(Found::Coupon(address)) => address,
            other => panic!("{name}: {other:?}"),
        };
        let want = bits.map(|bits| bucket(&address.code, bits));
        assert_eq!(address.bucket_key, BucketKey { expiry_day: DAY, bucket: want }, "{name}");
        assert_eq!(directory.reads(), reads, "{name}: reads");
    }
}

#[test]
fn buckets_spread_and_stay() {
    let key = CodeKey::new([7; 16]);
    let mut seen = vec![0u32; 1 << 4];
    for serial in 0..16_000 {
        seen[bucket(&key.mint(DAY, serial), 4) as usize] += 1;
    }
    let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
    assert!(*least > 850 && *most < 1_150, "{seen:?}");
    // Fixed for ever: a row found under one bucket must be found there by every later release.
    let code: Code = "7K2M9QXD4TRBH0VE".parse().unwrap();
    assert_eq!(bucket(&code, 12), bucket(&code, 16) >> 4);
    assert_eq!(bucket(&code, 0), 0);
}
