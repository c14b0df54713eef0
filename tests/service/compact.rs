//! `couponry compact` and the compactions of `serve`: their output, what they archive, how they
//! wait for each other, and that nothing is lost in a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::client::{Answer, Client, Dice, at_once};
use super::data::{Data, LOOK_EVERY, Ran, STORE_TIMEOUT, despite_stalls, wait_until};
use super::disk::{Disk, disk, mount};
use super::finished::{
    Kills, Running, all_settled, campaign, cold, compact, count_in, day_that_is_over,
    doctor_finds_nothing, exported, files, import, issued, left_over, order, redeemed, serve,
    settled, table,
};

const OPEN_PARTITION: &str = "2031-12-31";
const SEED: u64 = 20_261_231;

fn left_overs(prefix: &str, count: usize, day: &str) -> String {
    (0..count).map(|n| left_over(&format!("{prefix}{n:06}"), day)).collect()
}

/// The user and order of a redeemed coupon of [`spent`]: as long as possible, and random, so that
/// files do not compress well.
fn spender(n: usize) -> (String, String) {
    let mut dice = Dice(n as u64);
    let mut noise = |words: usize| -> String {
        (0..words).map(|_| format!("{:016x}", dice.below(u64::MAX))).collect()
    };
    (noise(4), noise(6))
}

/// Lines of coupons that were redeemed elsewhere.
fn spent(prefix: &str, count: usize, day: &str) -> String {
    let line = |n: usize| {
        let (user, order) = spender(n);
        let times = "2019-02-01T00:00:00Z,2019-03-01T00:00:00Z";
        format!("{prefix}{n:06},2019-01-01,{day},redeemed,{user},{times},{order}\n")
    };
    (0..count).map(line).collect()
}

/// Name, flags, texts in the output, texts that are not in it.
type PlanRow<'a> = (&'a str, &'a [&'a str], Vec<&'a str>, Vec<&'a str>);

#[test]
fn a_dry_run_changes_nothing() {
    let data = Data::new();
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    let day = day_that_is_over(0);
    campaign(&mut admin, "c", 100);
    import(&data, "c", "old", &left_overs("LEFT", 300, &day));
    redeemed(&mut admin, "c", "u", 20);
    let before = exported(&data, "before");
    // Name, flags, texts in the output, texts that are not in it.
    let rows: [PlanRow; 3] = [
        ("a day that is over", &["--dry-run"], vec![&day, "seal it"], vec![OPEN_PARTITION]),
        ("again", &["--dry-run"], vec![&day, "seal it"], vec![OPEN_PARTITION]),
        (
            "closed ones too",
            &["--dry-run", "--closed-now"],
            vec![&day, "seal it", OPEN_PARTITION, "move closed coupons", " 20"],
            vec!["nothing to do"],
        ),
    ];
    for (name, flags, said, unsaid) in rows {
        let ran = compact(&data, flags);
        said.iter().for_each(|it| assert!(ran.stdout.contains(it), "{name}: no {it:?}: {ran:?}"));
        unsaid.iter().for_each(|it| assert!(!ran.stdout.contains(it), "{name}: {it:?}: {ran:?}"));
        assert_eq!(exported(&data, name), before, "{name}");
        assert!(!cold(&data).exists(), "{name}: it made the cold folder");
    }
    // Nothing was sealed.
    import(&data, "c", "old", &left_overs("MORE", 1, &day));

    let ran = compact(&data, &["--closed-now"]);
    let rows = table(&ran);
    let want = [[day.as_str(), "expired", "301", "301"], [OPEN_PARTITION, "closed", "20", "20"]];
    let mut bytes = 0;
    assert_eq!(rows.len(), want.len(), "{ran:?}");
    for (row, [day, pass, copied, removed]) in rows.iter().zip(want) {
        let found = [&row[0], &row[1], &row[2], &row[4]];
        assert_eq!(found, [day, pass, copied, removed], "{ran:?}");
        let folder = cold(&data).join(format!("coupons/expiry_day={day}"));
        let on_disk: u64 = files(&folder, ".parquet").iter().map(|it| size(it)).sum();
        assert_eq!(row[3], on_disk.to_string(), "{day}: {ran:?}");
        bytes += on_disk;
    }
    let sum = ran.stdout.replace(',', "");
    let start = format!("321 coupons moved to cold {bytes} bytes (");
    assert!(sum.contains(&start) && sum.contains("; removed 0 old files"), "{ran:?}");
    for (name, flags, said) in [
        ("nothing to do", vec!["--dry-run", "--closed-now"], "nothing to do"),
        ("nothing done", vec!["--closed-now"], "0 coupons moved to cold, 0 bytes"),
    ] {
        let ran = compact(&data, &flags);
        assert!(ran.stdout.starts_with(said), "{name}: {ran:?}");
    }
    let after = exported(&data, "after");
    assert_eq!((after.len(), count_in(&after, "cold")), (321, 321));
    server.stop();
}

fn size(path: &std::path::Path) -> u64 {
    path.metadata().map_or(0, |it| it.len())
}

#[test]
fn wrong_calls() {
    let data = Data::new();
    let rows: [(&str, &[&str], i32, &str); 3] = [
        ("an unknown flag", &["compact", "--colour"], 2, "--colour"),
        ("no data", &["compact"], 1, "there is no couponry data"),
        ("no data to plan for", &["compact", "--dry-run"], 1, "there is no couponry data"),
    ];
    for (name, arguments, code, word) in rows {
        let ran = data.run(arguments);
        assert_eq!(ran.code, Some(code), "{name}: {ran:?}");
        assert!(ran.stderr.contains(word), "{name}: {ran:?}");
        assert!(!data.path().exists(), "{name}: it made the folder");
    }
}

/// The second one waits and says so. The first one reports its progress.
#[test]
fn two_at_a_time() {
    // The first one must be frozen before it ends.
    despite_stalls(LOOK_EVERY, two_at_a_time_once);
}

fn two_at_a_time_once() {
    let data = Data::new();
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 0);
    import(&data, "c", "old", &left_overs("LEFT", 6_000, &day_that_is_over(0)));
    let mut first = Running::start(&data, &["compact"]);
    wait_until("the cold folder", || cold(&data).exists() || first.has_ended());
    assert!(!first.has_ended(), "it ended too soon");
    first.signal(Signal::STOP);
    let begun = Instant::now();
    let mut second = Running::start(&data, &["compact"]);
    wait_until("the second one's sentence", || !second.said().is_empty() || second.has_ended());
    assert!(second.said().contains("another compaction is running: this one waits"));
    // A line of progress every five seconds.
    wait_until("five seconds", || begun.elapsed() > Duration::from_secs(6));
    first.signal(Signal::CONT);
    let (first, second) = (first.end(), second.end());
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first:?} {second:?}");
    assert!(first.stderr.contains("coupons of this day"), "no progress: {first:?}");
    assert!(first.stdout.contains("6,000 coupons moved to cold"), "{first:?}");
    assert!(second.stdout.contains("0 coupons moved to cold"), "{second:?}");
    server.stop();
}

/// Requests for a coupon during the compaction, with their answers before it.
struct Asked {
    code: String,
    user: String,
    order: String,
    coupon: Value,
    replay: Answer,
    refused: Answer,
}

impl Asked {
    fn ask(client: &mut Client, code: &str, user: &str, of_order: &str) -> Asked {
        let at = format!("/v1/coupons/{code}");
        let coupon = settled(&client.get(&at).must(200).json());
        let redeem = format!("{at}/redeem");
        let replay = client.post(&redeem, &order(user, of_order));
        let refused = client.post(&redeem, &order(user, "another order"));
        let (code, user, order) = (code.to_owned(), user.to_owned(), of_order.to_owned());
        Asked { code, user, order, coupon, replay, refused }
    }

    /// Repeats the requests.
    fn again(&self, client: &mut Client) {
        let now = Asked::ask(client, &self.code, &self.user, &self.order);
        assert_eq!(now.coupon, self.coupon, "{}", self.code);
        for (name, now, was) in
            [("replay", &now.replay, &self.replay), ("refused", &now.refused, &self.refused)]
        {
            assert_eq!(now.status, was.status, "{}: {name}: {}", self.code, now.text());
            let plain = |answer: &Answer| {
                let mut body = answer.json();
                body.as_object_mut().expect("an object").remove("request_id");
                if let Some(coupon) = body.get_mut("coupon").filter(|it| it.is_object()) {
                    *coupon = settled(coupon);
                }
                body
            };
            assert_eq!(plain(now), plain(was), "{}: {name}", self.code);
        }
    }
}

/// Every coupon of a campaign, page by page. A coupon archived between two pages may be on both.
fn listed(client: &mut Client, campaign: &str) -> BTreeMap<String, Value> {
    let (mut all, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let path = format!("/v1/coupons?campaign_id={campaign}&limit=100{cursor}");
        let page = client.get(&path).must(200).json();
        let mut here = BTreeSet::new();
        for coupon in page["data"].as_array().expect("data") {
            let code = coupon["code"].as_str().expect("a code").to_owned();
            assert!(here.insert(code.clone()), "{campaign}: {code} is on one page twice");
            let coupon = settled(coupon);
            let before = all.insert(code, coupon.clone());
            assert!(before.is_none_or(|it| it == coupon), "{campaign}: {coupon} changed");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[test]
fn beside_serve_under_load() {
    despite_stalls(STORE_TIMEOUT, beside_serve_under_load_once);
}

fn beside_serve_under_load_once() {
    const OVER: usize = 60_000;
    const CLOSED: usize = 300;
    let data = Data::new();
    let server = serve(&data);
    let token = data.token("admin", "root");
    let mut admin = server.client(&token);
    let day = day_that_is_over(3);
    campaign(&mut admin, "over", 0);
    campaign(&mut admin, "closed", CLOSED);
    campaign(&mut admin, "live", 1_000_000);
    import(&data, "over", "old", &spent("SPENT", OVER, &day));
    let codes = redeemed(&mut admin, "closed", "u", CLOSED);
    let mut asked: Vec<Asked> = codes
        .iter()
        .enumerate()
        .step_by(6)
        .map(|(n, code)| Asked::ask(&mut admin, code, &format!("u-{n}"), &format!("order-u-{n}")))
        .collect();
    asked.extend((0..OVER).step_by(OVER / 50).map(|n| {
        let (user, order) = spender(n);
        Asked::ask(&mut admin, &format!("SPENT{n:06}"), &user, &order)
    }));
    let list = listed(&mut admin, "closed");
    assert_eq!(list.len(), CLOSED);
    let counts = |client: &mut Client, id: &str| {
        let mut view = client.get(&format!("/v1/campaigns/{id}")).must(200).json();
        view.as_object_mut().expect("an object").remove("counted_at");
        view
    };
    let of_closed = counts(&mut admin, "closed");
    let of_over = counts(&mut admin, "over");
    let file = data.path().join("hot.db");
    wait_until("the whole store in its file", || size(&file) > (OVER as u64) << 7);
    let before = size(&file);

    let (ended, calls, slowest) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let timed = |what: &mut dyn FnMut()| {
        let begun = Instant::now();
        what();
        calls.fetch_add(1, Ordering::Relaxed);
        slowest.fetch_max(begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    };
    let brought = at_once(7, |nth| {
        let mut client = Client::new(server.address, &token);
        let mut dice = Dice(SEED + nth as u64);
        let mut taken = 0;
        while nth > 0 && !ended.load(Ordering::SeqCst) {
            match nth {
                1 | 2 => timed(&mut || {
                    let user = format!("live-{nth}-{taken}");
                    let code = issued(&mut client, "live", &user);
                    let redeem = format!("/v1/coupons/{code}/redeem");
                    client.post(&redeem, &order(&user, "1")).must(201);
                    client.post(&redeem, &order(&user, "1")).must(200);
                    client.post(&redeem, &order(&user, "2")).refused(409, "ALREADY_REDEEMED");
                    taken += 1;
                }),
                3..=5 => timed(&mut || {
                    asked[dice.below(asked.len() as u64) as usize].again(&mut client);
                }),
                _ => timed(&mut || {
                    assert_eq!(listed(&mut client, "closed"), list);
                    assert_eq!(counts(&mut client, "closed"), of_closed);
                    assert_eq!(counts(&mut client, "over"), of_over);
                }),
            }
        }
        if nth > 0 {
            return None;
        }
        let ran = data.run(&["compact", "--closed-now"]);
        ended.store(true, Ordering::SeqCst);
        Some(ran)
    });
    let ran = brought.into_iter().flatten().next().expect("the compaction");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows = table(&ran);
    let over = OVER.to_string();
    assert_eq!(rows[0][..3], [day.as_str(), "expired", over.as_str()], "{ran:?}");
    assert_eq!(rows[0][4], over, "{ran:?}");
    let (calls, slowest) = (calls.into_inner(), slowest.into_inner());
    let last = ran.stdout.lines().last().unwrap_or_default();
    eprintln!("compact beside serve: {last}; {calls} rounds meanwhile, the slowest {slowest} ms");
    assert!(calls > 100, "there was no load: {calls}");

    asked.iter().step_by(5).for_each(|asked| asked.again(&mut admin));
    assert_eq!(listed(&mut admin, "closed"), list);
    let mut all = exported(&data, "after the load");
    // Coupons redeemed during the run may be left for the next one.
    all.retain(|_, coupon| coupon["campaign_id"] != "live");
    assert_eq!((all.len(), count_in(&all, "cold")), (OVER + CLOSED, OVER + CLOSED));
    eprintln!("hot.db: {before} bytes before, {} after", size(&file));
    wait_until("a smaller file", || size(&file) < before);
    doctor_finds_nothing(&data, "after the load");
    server.stop();
}

#[test]
fn killed_ten_times() {
    const ROUNDS: usize = 11;
    const LINES: usize = 800;
    const CLOSED: usize = 25;
    let data = Data::new();
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 1_000);
    let (mut halfway, mut sample) = (0, Vec::new());
    let mut kills: Option<Kills> = None;
    let mut round = 0;
    while kills.as_ref().is_none_or(|kills| kills.go_on(ROUNDS - 1)) {
        let prefix = format!("R{round:02}N");
        let day = day_that_is_over(round);
        import(&data, "c", &prefix, &left_overs(&prefix, LINES, &day));
        let closed = redeemed(&mut admin, "c", &prefix, CLOSED);
        let left = (0..LINES).step_by(LINES / 10).map(|n| format!("{prefix}{n:06}"));
        for code in closed.into_iter().step_by(5).chain(left) {
            let coupon = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
            sample.push((code, settled(&coupon)));
        }
        round += 1;
        // The first one ends, to measure how long one takes. The others have more and more work.
        let Some(kills) = &mut kills else {
            let begun = Instant::now();
            compact(&data, &["--closed-now"]);
            kills = Some(Kills::within(begun.elapsed(), SEED));
            continue;
        };
        let moment = kills.kill(&data, &["compact", "--closed-now"]);
        let mut in_hot = 0;
        for (code, want) in &sample {
            let found = admin.get(&format!("/v1/coupons/{code}")).must(200).json();
            assert_eq!(settled(&found), *want, "round {round}, killed after {moment:?}");
            in_hot += usize::from(found["tier"] == "hot");
        }
        halfway += u32::from(in_hot > 0);
    }
    let Kills { rounds, at_work, .. } = kills.expect("the first one has ended");
    assert!(at_work > 0, "each one ended before it was killed");
    let before = exported(&data, "before the last one");
    assert_eq!(before.len(), round * (LINES + CLOSED));
    eprintln!("compact: {at_work} of {rounds} killed at work, {halfway} with coupons left in hot");
    compact(&data, &["--closed-now"]);
    let after = exported(&data, "after the last one");
    assert_eq!(all_settled(&after), all_settled(&before));
    assert_eq!(count_in(&after, "cold"), after.len(), "all are in cold");
    doctor_finds_nothing(&data, "after the kills");
    let again = compact(&data, &["--closed-now"]);
    assert!(again.stdout.starts_with("0 coupons moved to cold"), "{again:?}");
    server.stop();
}

/// `serve` compacts as often as its setting says, or never.
#[test]
fn serve_compacts_by_itself() {
    let mut servers = Vec::new();
    for every in ["0", "1s"] {
        let data = Data::new();
        let server = data.serve_with(|command| {
            command.args(["--compact-every", every]);
        });
        let mut admin = server.client(&data.token("admin", "root"));
        campaign(&mut admin, "c", 10);
        import(&data, "c", "old", &left_overs("LEFT", 100, &day_that_is_over(0)));
        redeemed(&mut admin, "c", "u", 1);
        servers.push((data, server, admin));
    }
    let tier = |admin: &mut Client| admin.get("/v1/coupons/LEFT000007").must(200).field("tier");
    let (mut often, mut never) = (servers.pop().expect("two"), servers.pop().expect("two"));
    wait_until("a compaction by serve", || tier(&mut often.2) == "cold");
    wait_until("its end", || count_in(&exported(&often.0, "1s"), "hot") == 1);
    wait_until("its line in the log", || often.1.log().contains("compacted a partition"));
    // Nothing of the open day is archived: one closed coupon is not worth a file.
    import(&often.0, "c", "more", &left_overs("MORE", 100, &day_that_is_over(1)));
    wait_until("the next one", || count_in(&exported(&often.0, "1s"), "cold") == 200);
    assert_eq!(tier(&mut never.2), "hot");
    assert!(!cold(&never.0).exists(), "--compact-every 0 made a cold folder");
    assert!(often.1.banner.contains("finished coupons go there every 1s"), "{}", often.1.banner);
    assert!(never.1.banner.contains("`couponry compact` moves"), "{}", never.1.banner);
    for (data, server, _) in [often, never] {
        doctor_finds_nothing(&data, "serve");
        server.stop();
    }
}

/// Puts the cold tier on a small disk, for every command.
fn on_disk(data: &Data, disk: &Disk) -> PathBuf {
    let cold = disk.at.join("cold");
    fs::write(
        data.folder().join("couponry.toml"),
        format!("cold = {:?}\n", cold.display().to_string()),
    )
    .expect("couponry.toml");
    cold
}

/// The run failed and said so, and no coupon left hot.
#[track_caller]
fn archived_nothing(data: &Data, ran: &Ran, hot: usize, words: &[&str], name: &str) {
    assert_eq!(ran.code, Some(1), "{name}: {ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "{name}: no {word:?}: {ran:?}");
    }
    assert_eq!(count_in(&exported(data, name), "hot"), hot, "{name}: deleted from hot");
}

#[test]
fn a_full_or_read_only_cold_disk() {
    const LINES: usize = 600;
    let Some(disk) = disk(8) else { return };
    let data = Data::new();
    let cold = on_disk(&data, &disk);
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 0);
    let full = |leave: u64| {
        let ballast = disk.ballast(64);
        let file = fs::OpenOptions::new().write(true).open(&ballast).expect("ballast");
        file.set_len(size(&ballast) - leave).expect("a little room");
        ballast
    };
    let folder = disk.at.to_str().expect("UTF-8");
    // Name, bytes left, or a read-only disk.
    let rows = [
        ("full before there is a table", Some(0)),
        ("full", Some(0)),
        ("full in the middle of a file", Some(16 << 10)),
        ("read-only", None),
    ];
    for (nth, (name, leave)) in rows.into_iter().enumerate() {
        let day = day_that_is_over(nth);
        import(&data, "c", &format!("b{nth}"), &spent(&format!("N{nth}N"), LINES, &day));
        let ballast = leave.map(full);
        if leave.is_none() {
            assert!(mount(&["-o", "remount,ro", folder]), "remount");
        }
        for again in ["", ", again"] {
            let ran = data.run(&["compact"]);
            let words = ["cannot be written", cold.to_str().expect("UTF-8"), "nothing was removed"];
            archived_nothing(&data, &ran, LINES, &words, &format!("{name}{again}"));
        }
        let code = format!("/v1/coupons/N{nth}N000001");
        assert_eq!(admin.get(&code).must(200).field("tier"), "hot", "{name}");
        match ballast {
            Some(ballast) => fs::remove_file(ballast).expect("ballast"),
            None => assert!(mount(&["-o", "remount,rw", folder]), "remount"),
        }
        assert_eq!(files(&cold.join(".staging"), "").len(), 0, "{name}: staged files stay");
        let ran = compact(&data, &[]);
        assert_eq!(
            table(&ran).last().map(|row| row[4].clone()),
            Some(LINES.to_string()),
            "{ran:?}"
        );
        assert_eq!(admin.get(&code).must(200).field("tier"), "cold", "{name}");
    }
    doctor_finds_nothing(&data, "after the full disks");
    server.stop();
}

/// The disk of the hot store itself.
#[test]
fn a_hot_disk_that_is_full() {
    const LINES: usize = 2_000;
    let Some(disk) = disk(32) else { return };
    let data = Data::within(&disk.at);
    fs::write(data.folder().join("couponry.toml"), "free_min_mib = 0\n").expect("couponry.toml");
    let server = serve(&data);
    let mut admin = server.client(&data.token("admin", "root"));
    campaign(&mut admin, "c", 0);
    import(&data, "c", "old", &spent("OLD", LINES, &day_that_is_over(0)));
    let ballast = disk.ballast(64);
    let ran = data.run(&["compact"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("cannot be written") && ran.stderr.contains("run it again"));
    admin.get("/v1/coupons/OLD000001").must(200);
    fs::remove_file(ballast).expect("ballast");
    compact(&data, &[]);
    let all = exported(&data, "after");
    assert_eq!((all.len(), count_in(&all, "cold")), (LINES, LINES));
    doctor_finds_nothing(&data, "after a full disk");
    server.stop();
}
