use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::*;
use crate::side::SideThreads;

const NOW_MS: i64 = 1_700_000_000_123;

fn bucket(weather: BucketWeather) -> (SimulatedBucket, Arc<dyn ObjectStore>, Trace) {
    let (bucket, trace) = (SimulatedBucket::new(NOW_MS, weather), Trace::new(false));
    let store = bucket.for_observer(Rng::new(1), trace.clone());
    (bucket, store, trace)
}

async fn create(store: &Arc<dyn ObjectStore>, name: &str, bytes: &'static str) -> Result<()> {
    let options = PutOptions::from(PutMode::Create);
    store.put_opts(&Path::from(name), PutPayload::from(bytes), options).await.map(|_| ())
}

async fn read(store: &Arc<dyn ObjectStore>, name: &str) -> Result<String> {
    let bytes = store.get(&Path::from(name)).await?.bytes().await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn outcome<T>(result: &Result<T>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(Error::AlreadyExists { .. }) => "exists",
        Err(Error::NotFound { .. }) => "missing",
        Err(Error::Generic { .. }) => "failed",
        Err(_) => "other",
    }
}

#[tokio::test(start_paused = true)]
async fn faults_of_a_conditional_put() {
    let calm = BucketWeather::calm;
    let late = (20_000, 20_000);
    let cases = [
        ("calm", calm(), "done", true),
        ("slow", BucketWeather { slow: 1_000, slow_ms: (60, 60), ..calm() }, "done", true),
        ("503", BucketWeather { unavailable: 1_000, ..calm() }, "failed", false),
        ("request lost", BucketWeather { request_lost: 1_000, ..calm() }, "failed", false),
        ("answer lost", BucketWeather { answer_lost: 1_000, ..calm() }, "failed", true),
        ("late", BucketWeather { done_late: 1_000, late_ms: late, ..calm() }, "failed", false),
        ("own retry", BucketWeather { own_retry: 1_000, ..calm() }, "exists", true),
    ];
    for (name, weather, want, is_there) in cases {
        let faults = u64::from(weather != calm());
        let (bucket, store, trace) = bucket(weather);
        let put = create(&store, "log/1", "mine").await;
        assert_eq!(outcome(&put), want, "{name}: {put:?}");
        assert_eq!(bucket.names() == ["log/1"], is_there, "{name}");
        assert_eq!(trace.faults().values().sum::<u64>(), faults, "{name}");
        bucket.quiet();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let again = create(&store, "log/1", "again").await;
        let taken = if is_there || name == "late" { "exists" } else { "done" };
        assert_eq!(outcome(&again), taken, "{name}: the retry");
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_many_conditional_puts_wins() {
    let (_, store, trace) = bucket(BucketWeather { way_ms: (1, 40), ..BucketWeather::calm() });
    let puts = (0..16).map(|_| create(&store, "log/2", "x"));
    let ended = futures::future::join_all(puts).await;
    assert_eq!(ended.iter().filter(|put| put.is_ok()).count(), 1);
    assert_eq!(ended.iter().filter(|put| outcome(put) == "exists").count(), 15);
    assert_eq!(trace.states().values().sum::<u64>(), 15);
}

#[tokio::test(start_paused = true)]
async fn an_object_has_its_time_tag_and_ranges() {
    let (bucket, store, _) = bucket(BucketWeather::calm());
    let at = Path::from("day/a");
    store.put(&at, "hello".into()).await.expect("a calm bucket");
    let (first, after) = (store.head(&at).await.expect("it is there"), Duration::from_secs(60));
    let passed = first.last_modified.timestamp_millis() - NOW_MS;
    assert!((1..=10).contains(&passed), "{passed}");
    bucket.set_clock(-5_000);
    tokio::time::sleep(after).await;
    store.put(&at, "hello you".into()).await.expect("a calm bucket");
    let second = store.head(&at).await.expect("it is there");
    let passed = second.last_modified.timestamp_millis() - first.last_modified.timestamp_millis();
    assert!((55_000..=55_020).contains(&passed), "{passed}");
    assert_ne!(first.e_tag, second.e_tag);
    assert_eq!(store.get_range(&at, 6..9).await.expect("it is there"), "you");
    store.delete(&at).await.expect("a calm bucket");
    store.delete(&at).await.expect("as in S3");
    assert_eq!(outcome(&store.head(&at).await), "missing");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_away_comes_back() {
    let (bucket, store, trace) = bucket(BucketWeather::calm());
    create(&store, "a", "x").await.expect("a calm bucket");
    bucket.away(Duration::from_secs(5));
    assert_eq!(outcome(&read(&store, "a").await), "failed");
    assert_eq!(trace.faults().get("bucket: away"), Some(&1));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(read(&store, "a").await.expect("it is back"), "x");
}

/// Stops its process around each put: for ever, or for a minute.
struct PutStopper {
    process: SimulatedProcess,
    kills: bool,
    after: bool,
}

impl PutStopper {
    fn stop(&self, write: &BucketWrite<'_>, after: bool) {
        if after != self.after || write.to_string() != "PUT log/1" {
            return;
        }
        if self.kills { self.process.kill() } else { self.process.freeze(Duration::from_secs(60)) }
    }
}

impl BucketTamper for PutStopper {
    fn before(&self, write: &BucketWrite<'_>) {
        self.stop(write, false);
    }

    fn after(&self, write: &BucketWrite<'_>) {
        self.stop(write, true);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_is_stopped_before_or_after_a_put() {
    for (kills, after) in [(true, false), (true, true), (false, false), (false, true)] {
        let (bucket, _, trace) = bucket(BucketWeather::calm());
        let process = SimulatedProcess::new("compactor", 0);
        let tamper = Arc::new(PutStopper { process: process.clone(), kills, after });
        let store = bucket.for_process(process, tamper, Rng::new(1), trace);
        create(&store, "else", "x").await.expect("only one object is met");
        let put = tokio::time::timeout(Duration::from_secs(30), create(&store, "log/1", "x"));
        assert!(put.await.is_err(), "killed: {kills}, after: {after}");
        let is_there = bucket.names().contains(&"log/1".to_owned());
        assert_eq!(is_there, after, "killed: {kills}, after: {after}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_process_sends_its_put_later() {
    let (bucket, _, trace) = bucket(BucketWeather::calm());
    let process = SimulatedProcess::new("compactor", 0);
    let tamper = Arc::new(PutStopper { process: process.clone(), kills: false, after: false });
    let store = bucket.for_process(process, tamper, Rng::new(1), trace);
    let began = Instant::now();
    create(&store, "log/1", "x").await.expect("it goes on");
    assert_eq!((began.elapsed().as_secs(), bucket.names().len()), (60, 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_may_end_too_early() {
    let (_, store, _) = bucket(BucketWeather { body_cut: 1_000, ..BucketWeather::calm() });
    create(&store, "a", "hello").await.expect("puts have no faults");
    assert_eq!(outcome(&read(&store, "a").await), "failed");
    store.head(&Path::from("a")).await.expect("the answer to it has no body");
}

#[tokio::test(start_paused = true)]
async fn objects_change_between_the_pages_of_a_list() {
    let (_, store, _) = bucket(BucketWeather { page: 2, ..BucketWeather::calm() });
    for name in ["log/1", "log/2", "log/3", "log/5", "logs/1", "other"] {
        create(&store, name, "x").await.expect("a calm bucket");
    }
    let under = Path::from("log");
    let mut listed = store.list(Some(&under));
    let mut found = vec![listed.next().await.expect("a page").expect("no faults").location];
    store.delete(&Path::from("log/2")).await.expect("a calm bucket");
    store.delete(&Path::from("log/3")).await.expect("a calm bucket");
    create(&store, "log/4", "x").await.expect("a calm bucket");
    let rest: Vec<_> = listed.map_ok(|meta| meta.location).try_collect().await.expect("no faults");
    found.extend(rest);
    let names: Vec<&str> = found.iter().map(Path::as_ref).collect();
    assert_eq!(names, ["log/1", "log/2", "log/4", "log/5"]);
    let after = store.list_with_offset(Some(&under), &Path::from("log/4"));
    assert_eq!(after.try_collect::<Vec<_>>().await.expect("no faults").len(), 1);
    let level = store.list_with_delimiter(None).await.expect("no faults");
    let folders: Vec<&str> = level.common_prefixes.iter().map(Path::as_ref).collect();
    assert_eq!((folders, level.objects.len()), (vec!["log", "logs"], 1));
}

#[tokio::test(start_paused = true)]
async fn uploads_in_parts() {
    let calm = BucketWeather::calm;
    let cases = [
        ("calm", calm(), "done", true, 0),
        ("answer lost", BucketWeather { answer_lost: 1_000, ..calm() }, "failed", true, 0),
        ("request lost", BucketWeather { request_lost: 1_000, ..calm() }, "failed", false, 1),
        ("own retry", BucketWeather { own_retry: 1_000, ..calm() }, "missing", true, 0),
    ];
    for (name, weather, want, is_there, open) in cases {
        let (bucket, store, _) = bucket(calm());
        let mut upload = store.put_multipart(&Path::from("day/a")).await.expect("a calm bucket");
        let (first, second) = (upload.put_part("one ".into()), upload.put_part("two".into()));
        second.await.expect("a calm bucket");
        first.await.expect("a calm bucket");
        assert!(bucket.names().is_empty(), "{name}");
        bucket.set_weather(weather);
        let completed = upload.complete().await;
        assert_eq!(outcome(&completed), want, "{name}: {completed:?}");
        assert_eq!(
            (bucket.names() == ["day/a"], bucket.open_uploads()),
            (is_there, open),
            "{name}"
        );
        bucket.quiet();
        let aborted = upload.abort().await;
        assert_eq!(outcome(&aborted), if is_there { "missing" } else { "done" }, "{name}");
        assert_eq!(bucket.open_uploads(), 0, "{name}");
        if is_there {
            assert_eq!(read(&store, "day/a").await.expect("it is whole"), "one two", "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cold_store_lives_on_it() {
    let (bucket, store, _) = bucket(BucketWeather::calm());
    let runner: Arc<dyn cold::BlockingRunner> = Arc::new(SideThreads::new());
    // A checkpoint waits inside of waiting.
    let options =
        cold::ColdOptions { runner: Some(runner), checkpoint_every: 0, ..Default::default() };
    let cold = cold::ColdStore::with_store(store, "simulated", options);
    cold.create().await.expect("a calm bucket");
    cold.checkpoint().await.expect("a calm bucket");
    assert_eq!(cold.version().await.expect("a calm bucket"), Some(0));
    let is_checkpoint = |name: &&String| name.ends_with(".checkpoint.parquet");
    assert_eq!(bucket.names().iter().filter(is_checkpoint).count(), 2);
}
