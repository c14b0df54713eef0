//! Notices: every user gets each notice once, also if a run is interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coupon::calendar::{Date, Zone};
use coupon::time::Millis;
use ring::hmac;
use serde_json::{Value, json};

use super::data::{Data, LOOK_EVERY, PATIENCE, Ran, despite_stalls, wait_until};

const SECRET: &str = "a-secret-of-many-letters-indeed";

/// These tests avoid midnight, because the day could change between two steps.
const MIDNIGHT_MS: i64 = 300_000;

/// `couponry notify` waits this long for the answer to a POST, and then posts again.
const TIMEOUT: Duration = Duration::from_secs(15);

fn zone(name: &str) -> Zone {
    name.parse().expect("a zone")
}

/// The day `days` days from today in the zone, after waiting until midnight is not near.
fn in_days(days: u16, zone: &Zone) -> Date {
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        Millis(since.as_millis() as i64)
    };
    while Date::of(now(), zone) != Date::of(now().plus_ms(MIDNIGHT_MS), zone) {
        std::thread::sleep(LOOK_EVERY);
    }
    Date::of(now(), zone).plus_days(days)
}

/// A folder with campaigns, and coupons that users have had for a long time.
struct Shop {
    data: Data,
}

impl Shop {
    fn new() -> Shop {
        let data = Data::new();
        data.token("admin", "root");
        data.serve().stop();
        Shop { data }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.data.run(arguments)
    }

    #[track_caller]
    fn does(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran
    }

    fn campaign(&self, id: &str, zone: &Zone) {
        self.campaign_until(id, zone, "2031-12-31");
    }

    fn campaign_until(&self, id: &str, zone: &Zone, last: &str) {
        self.does(&[
            "campaign",
            "create",
            "--campaign-id",
            id,
            "--name",
            &format!("{id} sale"),
            "--expires-on",
            last,
            "--time-zone",
            zone.name(),
            "--stock",
            "3",
            "--metadata",
            "{\"percent\":10}",
        ]);
    }

    /// Coupons issued years ago: code, holder, last day.
    fn issued(&self, campaign: &str, rows: &[(String, String, Date)]) {
        let mut text = "code,user_id,expires_at,state,issued_at,valid_from\n".to_owned();
        for (code, user, last) in rows {
            text.push_str(&format!("{code},{user},{last},issued,2021-01-01,2020-01-01\n"));
        }
        let path = self.data.folder().join("issued.csv");
        fs::write(&path, text).expect("issued.csv");
        self.does(&["import", path.to_str().expect("UTF-8"), "--campaign", campaign]);
    }

    /// `count` users with a coupon each, which has `days` left.
    fn crowd(&self, count: usize, days: u16) {
        let utc = Zone::utc();
        self.campaign("crowd", &utc);
        let last = in_days(days, &utc);
        let row = |n| (format!("CROWD{n:05}"), format!("user{n:05}"), last);
        self.issued("crowd", &(0..count).map(row).collect::<Vec<_>>());
    }

    fn webhook(&self, receiver: &Receiver, more: &[&str]) -> Child {
        let url = receiver.url();
        let arguments = ["notify", "--days", "7,3", "--webhook", &url];
        let mut command = self.data.command(arguments.iter().chain(more));
        command.env("COUPONRY_NOTIFY_SECRET", SECRET);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary starts")
    }

    fn posted(&self, receiver: &Receiver) -> Ran {
        let child = self.webhook(receiver, &[]);
        Ran::from(child.wait_with_output().expect("the binary ends"))
    }

    fn file(&self) -> PathBuf {
        self.data.folder().join("notices.jsonl")
    }

    fn to_file(&self, days: &str) -> Ran {
        let path = self.file();
        self.run(&["notify", "--days", days, "--to", path.to_str().expect("UTF-8")])
    }

    fn memory(&self, of: &str) -> PathBuf {
        let folder = self.data.path().join("notices");
        let entries = fs::read_dir(&folder).expect("DATA/notices").flatten();
        let mut found = entries.filter(|it| it.file_name().to_string_lossy().starts_with(of));
        found.next().expect("a memory of its own").path().join("journal")
    }
}

/// Each line, which must be a notice, as JSON.
#[track_caller]
fn notices(text: &str) -> Vec<Value> {
    let read =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    text.lines().map(read).collect()
}

/// Which users were notified of which codes, and for how many days. Each once.
#[track_caller]
fn told(notices: &[Value]) -> BTreeSet<(String, String, u64, u64)> {
    let mut all = BTreeSet::new();
    for notice in notices {
        let user = notice["user_id"].as_str().expect("a user");
        for coupon in notice["coupons"].as_array().expect("coupons") {
            let number = |name: &str| coupon[name].as_u64().expect("a number");
            let code = coupon["code"].as_str().expect("a code").to_owned();
            let row = (user.to_owned(), code, number("days"), number("days_left"));
            assert!(all.insert(row), "told twice: {coupon} of {user}");
        }
    }
    all
}

fn row(user: &str, code: &str, days: u64, left: u64) -> (String, String, u64, u64) {
    (user.to_owned(), code.to_owned(), days, left)
}

/// One POST that came in.
#[derive(Clone, Debug)]
struct Post {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Post {
    fn key(&self) -> &str {
        &self.headers["idempotency-key"]
    }

    fn user(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        body["user_id"].as_str().expect("a user").to_owned()
    }
}

/// The answer to a POST: the status line, one more header, a delay.
#[derive(Clone, Copy)]
struct Reply(u16, &'static str, Duration);

const TAKEN: Reply = Reply(204, "", Duration::ZERO);

/// Decides by the number of the POST, from 0, and its content.
type Script = Box<dyn Fn(usize, &Post) -> Reply + Send + Sync>;

/// A receiver of notices.
struct Receiver {
    address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Receiver {
    fn new(script: impl Fn(usize, &Post) -> Reply + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let posts = Arc::new(Mutex::new(Vec::new()));
        let (all, script) = (Arc::clone(&posts), Arc::<Script>::new(Box::new(script)));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (all, script) = (Arc::clone(&all), Arc::clone(&script));
                // The sender may be killed in the middle of a POST.
                std::thread::spawn(move || answer(socket, &all, &script).ok());
            }
        });
        Receiver { address, posts }
    }

    fn url(&self) -> String {
        format!("http://{}/notices", self.address)
    }

    fn posts(&self) -> Vec<Post> {
        self.posts.lock().expect("posts").clone()
    }

    fn forget(&self) {
        self.posts.lock().expect("posts").clear();
    }
}

fn answer(socket: TcpStream, all: &Mutex<Vec<Post>>, script: &Script) -> std::io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut socket = BufReader::new(socket);
    loop {
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if socket.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
                None if line.trim_end().is_empty() => break,
                None => None,
            };
        }
        let length = headers["content-length"].parse().expect("a length");
        let mut body = vec![0; length];
        socket.read_exact(&mut body)?;
        let post = Post { headers, body: String::from_utf8(body).expect("UTF-8") };
        let nth = {
            let mut all = all.lock().expect("posts");
            all.push(post.clone());
            all.len() - 1
        };
        let Reply(status, header, pause) = script(nth, &post);
        std::thread::sleep(pause);
        let said = if status == 204 { "" } else { "because" };
        let head = format!("HTTP/1.1 {status} x\r\n{header}content-length: {}\r\n\r\n", said.len());
        socket.get_mut().write_all((head + said).as_bytes())?;
    }
}

/// Two zones whose days are rarely the same: the day in the zone of the coupon counts.
#[test]
fn days_of_the_coupons_zone() {
    let shop = Shop::new();
    let zones = [("kiritimati", "Pacific/Kiritimati"), ("angeles", "America/Los_Angeles")];
    let mut want = BTreeSet::new();
    for (campaign, name) in zones {
        let zone = zone(name);
        shop.campaign(campaign, &zone);
        let upper = campaign.to_uppercase();
        let code = |days: u16| (format!("{upper}{days}"), "ann".to_owned(), in_days(days, &zone));
        shop.issued(campaign, &[code(2), code(3), code(4), code(7), code(8)]);
        want.extend([3, 7].map(|days| row("ann", &format!("{upper}{days}"), days, days)));
    }
    let printed = shop.does(&["notify", "--days", "7,3"]).stdout;
    let printed = notices(&printed);
    assert_eq!(told(&printed), want);
    assert_eq!(printed.len(), 1, "one line for one user: {printed:?}");
    assert_eq!(printed[0]["days_left"], 3, "the soonest of them: {printed:?}");
    let coupons = printed[0]["coupons"].as_array().expect("coupons");
    let first = coupons.iter().find(|it| it["campaign_id"] == "kiritimati").expect("its coupon");
    assert_eq!(first["campaign_name"], "kiritimati sale", "{first}");
    assert_eq!(first["time_zone"], "Pacific/Kiritimati", "{first}");
    assert_eq!(first["metadata"], json!({"percent": 10}), "{first}");
}

/// A webhook that asks for notices gets each of them once; one that asks for nothing gets none.
#[test]
fn webhooks_of_the_store() {
    let shop = Shop::new();
    let receiver = Receiver::new(|_, _| TAKEN);
    let serve = || {
        shop.data.serve_with(|command| {
            command.arg("--webhook-allow-private");
        })
    };
    let token = shop.data.token("admin", "root");
    let server = serve();
    let mut admin = server.client(&token);
    let url = receiver.url();
    for (name, types) in [("asks", json!(["coupons.expiring"])), ("all", Value::Null)] {
        let mut new = json!({"webhook_id": name, "url": format!("{url}/{name}")});
        if !types.is_null() {
            new["types"] = types;
        }
        admin.post("/v1/webhooks", &new).must(201);
    }
    server.stop();
    let utc = Zone::utc();
    shop.campaign("c", &utc);
    let last = in_days(3, &utc);
    shop.issued("c", &[("CARD1".to_owned(), "ann".to_owned(), last)]);
    let notify = || shop.does(&["notify", "--days", "3", "--webhooks"]).stderr;
    assert!(notify().contains("sent 1 notices about 1 coupons"));
    assert!(notify().contains("sent 0 notices"), "it is queued");
    let server = serve();
    wait_until("the notice", || receiver.posts().iter().any(|post| post.body.contains("CARD1")));
    server.stop();
    let posts = receiver.posts();
    let is_notice = |post: &&Post| post.body.contains("coupons.expiring");
    let notices: Vec<&Post> = posts.iter().filter(is_notice).collect();
    assert_eq!(notices.len(), 1, "{posts:?}");
    let body: Value = serde_json::from_str(&notices[0].body).expect("JSON");
    assert_eq!(body["type"], "coupons.expiring");
    assert_eq!(body["data"]["user_id"], "ann");
    assert_eq!(body["data"]["coupons"][0]["code"], "CARD1");
    assert_eq!(body["data"]["notice_id"], notices[0].headers["webhook-id"]);
}

/// Which coupons are in notices, and each destination once.
#[test]
fn who_is_told() {
    let shop = Shop::new();
    let utc = Zone::utc();
    shop.campaign("c", &utc);
    shop.campaign("paused", &utc);
    let last = in_days(3, &utc);
    let of = |code: &str, user: &str| (code.to_owned(), user.to_owned(), last);
    let rows = [of("HELD1", "ann"), of("HELD2", "ann"), of("OTHER", "bob"), of("SPENT", "bob")];
    shop.issued("c", &[rows.as_slice(), &[of("DEAD", "ann"), of("BACK", "eve")]].concat());
    shop.issued("paused", &[of("WAITS", "ann")]);
    shop.does(&["campaign", "pause", "paused"]);
    shop.does(&["coupon", "redeem", "SPENT", "--user", "bob", "--order", "1"]);
    shop.does(&["coupon", "void", "DEAD", "--reason", "x"]);
    shop.does(&["coupon", "revoke", "BACK", "--user", "eve", "--reason", "x"]);
    shop.does(&["coupon", "issue", "--campaign", "c", "--user", "far"]);
    // Issued today, on the day of the notice.
    shop.campaign_until("short", &utc, &last.to_string());
    let issued = shop.does(&["coupon", "issue", "--campaign", "short", "--user", "new"]).stdout;
    let issued: Value = serde_json::from_str(&issued).expect("JSON");
    let code = issued["code"].as_str().expect("a code");
    let want = BTreeSet::from([
        row("ann", "HELD1", 3, 3),
        row("ann", "HELD2", 3, 3),
        row("bob", "OTHER", 3, 3),
        row("new", code, 3, 3),
    ]);
    let dry = shop.does(&["notify", "--days", "3", "--dry-run"]);
    assert!(dry.stdout.is_empty() && dry.stderr.contains("3 notices about 4 coupons"), "{dry:?}");
    assert!(!shop.data.path().join("notices").exists(), "a dry run wrote something");
    let first = shop.does(&["notify", "--days", "3"]);
    assert_eq!(told(&notices(&first.stdout)), want, "standard output");
    assert!(first.stderr.contains("sent 3 notices about 4 coupons"), "{first:?}");
    assert_eq!(shop.does(&["notify", "--days", "3"]).stdout, "", "printed to its end before");
    assert_eq!(shop.to_file("3").code, Some(0));
    let written = fs::read_to_string(shop.file()).expect("the file");
    assert_eq!(told(&notices(&written)), want, "another destination has its own memory");
    let ids = |text: &str| -> BTreeSet<String> {
        notices(text).iter().map(|it| it["notice_id"].to_string()).collect()
    };
    assert_eq!(ids(&written), ids(&first.stdout), "the same notices");
    shop.does(&["campaign", "resume", "paused"]);
    let dry = shop.does(&["notify", "--days", "3", "--dry-run", "--to", "notices.jsonl"]);
    assert!(dry.stderr.contains("1 notices about 1 coupons; 4 coupons were notified"), "{dry:?}");
    assert_eq!(shop.to_file("3").code, Some(0));
    let more = fs::read_to_string(shop.file()).expect("the file");
    let more = more.strip_prefix(&written).expect("the lines from before");
    assert_eq!(told(&notices(more)), BTreeSet::from([row("ann", "WAITS", 3, 3)]));
}

/// A user with more coupons than fit into one notice, and a user with one.
#[test]
fn many_coupons_of_one_user() {
    let shop = Shop::new();
    let utc = Zone::utc();
    shop.campaign("c", &utc);
    let last = in_days(3, &utc);
    let mut rows: Vec<_> =
        (0..201).map(|n| (format!("MANY{n:04}"), "ann".to_owned(), last)).collect();
    rows.push(("SINGLE".to_owned(), "bob".to_owned(), last));
    shop.issued("c", &rows);
    let printed = notices(&shop.does(&["notify", "--days", "3"]).stdout);
    assert_eq!(told(&printed).len(), 202);
    let of = |user: &str| {
        let mine = printed.iter().filter(|it| it["user_id"] == user);
        mine.map(|it| it["coupons"].as_array().expect("coupons").len()).collect::<Vec<_>>()
    };
    assert_eq!((of("ann"), of("bob")), (vec![100, 100, 1], vec![1]));
}

/// The file is its own proof, whatever has become of the journal.
#[test]
fn no_line_twice() {
    let shop = Shop::new();
    shop.crowd(100, 3);
    assert_eq!(shop.to_file("3").code, Some(0));
    let whole = fs::read_to_string(shop.file()).expect("the file");
    assert_eq!(told(&notices(&whole)).len(), 100);
    let journal = shop.memory("file-notices.jsonl-");
    let known = fs::read(&journal).expect("the journal");
    let half = whole.match_indices('\n').nth(49).expect("50 lines").0 + 1;
    let torn = &whole[..half + 200];
    let without_last = |bytes: &[u8]| {
        let end = bytes[..bytes.len() - 1].iter().rposition(|it| *it == b'\n').expect("a line");
        bytes[..=end].to_vec()
    };
    let begun = known.split_inclusive(|it| *it == b'\n').take(1).flatten().copied().collect();
    // Name, the file, the journal, whether the file must not change.
    let rows: [(&str, &str, Option<Vec<u8>>); 6] = [
        ("again", &whole, Some(known.clone())),
        ("the journal does not know of the end", &whole, Some(without_last(&known))),
        ("the journal is torn", &whole, Some(known[..known.len() - 5].to_vec())),
        ("the journal is gone", &whole, None),
        ("killed before the first sync", torn, Some(begun)),
        ("a torn line and no journal", torn, None),
    ];
    for (name, file, memory) in rows {
        fs::write(shop.file(), file).expect("the file");
        match memory {
            Some(bytes) => fs::write(&journal, bytes).expect("the journal"),
            None => fs::remove_file(&journal).expect("the journal"),
        }
        let ran = shop.to_file("3");
        assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
        let after = fs::read_to_string(shop.file()).expect("the file");
        assert!(after.starts_with(&whole[..half]), "{name}: the lines from before changed");
        assert_eq!(told(&notices(&after)).len(), 100, "{name}");
        assert_eq!(after.lines().count(), 100, "{name}");
    }
    fs::rename(shop.file(), shop.data.folder().join("notices.1")).expect("moved away");
    assert_eq!(shop.to_file("3").code, Some(0));
    assert_eq!(fs::read(shop.file()).expect("a new file"), b"", "told in the one moved away");
    fs::write(shop.file(), "somebody else's").expect("the file");
    let ran = shop.to_file("3");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(fs::read(shop.file()).expect("the file"), b"somebody else's");
}

/// `kill -9` at ten moments of a run to a file, and a new run: every user is notified once.
#[test]
fn killed_while_writing_a_file() {
    // A kill that comes late finds no more work, and neither do the next ones.
    despite_stalls(LOOK_EVERY, killed_while_writing_a_file_once);
}

fn killed_while_writing_a_file_once() {
    const USERS: usize = 6_000;
    let shop = Shop::new();
    shop.crowd(USERS, 3);
    let path = shop.file();
    let length = || fs::metadata(&path).map_or(0, |it| it.len());
    let mut kills = 0;
    for _ in 0..10 {
        let before = length();
        let arguments = ["notify", "--days", "3", "--to", path.to_str().expect("UTF-8")];
        let mut child = shop.data.command(arguments).stderr(Stdio::null()).spawn().expect("runs");
        let begun = Instant::now();
        while length() <= before && child.try_wait().expect("wait").is_none() {
            assert!(begun.elapsed() < PATIENCE, "it writes nothing");
        }
        kills += usize::from(child.try_wait().expect("wait").is_none());
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
    assert!(kills > 2, "{kills} kills in the middle of it");
    let ran = shop.to_file("3");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = fs::read_to_string(&path).expect("the file");
    assert_eq!(told(&notices(&text)).len(), USERS);
    assert_eq!(text.lines().count(), USERS);
}

/// `kill -9` during the POSTs. Notices that may have arrived are posted again unchanged, also if
/// the user has got another coupon since. All others are posted once.
#[test]
fn killed_while_posting() {
    const USERS: usize = 300;
    const ANSWERED: usize = 100;
    let shop = Shop::new();
    shop.crowd(USERS, 3);
    let killed = Arc::new(AtomicBool::new(false));
    let is_killed = Arc::clone(&killed);
    // Before the kill, later POSTs get no answer: they are on their way.
    let slow = Receiver::new(move |nth, _| {
        while nth >= ANSWERED && !is_killed.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK_EVERY);
        }
        Reply(204, "", Duration::from_millis(20))
    });
    let mut child = shop.webhook(&slow, &[]);
    wait_until("some posts", || slow.posts().len() > ANSWERED);
    child.kill().expect("kill");
    child.wait().expect("wait");
    let before = slow.posts();
    killed.store(true, Ordering::SeqCst);
    let last = in_days(3, &Zone::utc());
    let more = |user: String| (format!("MORE-{}", user.to_uppercase()), user, last);
    let mut seen = BTreeSet::new();
    let newest = before.iter().rev().map(Post::user).filter(|user| seen.insert(user.clone()));
    shop.issued("crowd", &newest.take(20).map(more).collect::<Vec<_>>());
    let ran = shop.posted(&slow);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let posts = slow.posts();
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    let mut codes: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for post in &posts {
        let body = bodies.entry(post.key()).or_insert(&post.body);
        assert_eq!(*body, post.body, "one key, two bodies");
        let notice: Value = serde_json::from_str(&post.body).expect("JSON");
        for coupon in notice["coupons"].as_array().expect("coupons") {
            let code = coupon["code"].as_str().expect("a code").to_owned();
            codes.entry(code).or_default().insert(post.key());
        }
    }
    assert_eq!(codes.len(), USERS + 20, "a user was not notified");
    let twice: Vec<_> = codes.iter().filter(|(_, keys)| keys.len() > 1).collect();
    assert!(twice.is_empty(), "notified with two keys: {twice:?}");
    let keys = |posts: &[Post]| -> BTreeSet<String> {
        posts.iter().map(|post| post.key().to_owned()).collect()
    };
    let again = keys(&before).intersection(&keys(&posts[before.len()..])).count();
    assert!(again <= 8, "{again} were posted again, want those on their way at most");
    slow.forget();
    assert_eq!(shop.posted(&slow).code, Some(0));
    assert!(slow.posts().is_empty(), "the third run has no notices");
}

/// The effect of each answer: exit code, POSTs of this run, and of the next one, which succeeds.
#[test]
fn answers() {
    const AT_ONCE: &str = "retry-after: 0\r\n";
    const SECOND: &str = "retry-after: 1\r\n";
    const LONG: &str = "retry-after: 3600\r\n";
    let now = Duration::ZERO;
    // Name, answers to the first posts, exit code, posts, posts of the next run.
    let rows: [(&str, Vec<Reply>, i32, usize, usize); 7] = [
        ("taken", vec![], 0, 1, 0),
        ("500, then accepted", vec![Reply(500, "", now)], 0, 2, 0),
        ("busy for a second", vec![Reply(429, SECOND, now)], 0, 2, 0),
        ("busy for an hour", vec![Reply(503, LONG, now)], 1, 1, 1),
        ("down", vec![Reply(503, AT_ONCE, now); 5], 1, 5, 1),
        ("a refusal", vec![Reply(400, "", now)], 3, 1, 1),
        ("elsewhere", vec![Reply(307, "location: http://127.0.0.1:1/\r\n", now)], 3, 1, 1),
    ];
    for (name, replies, code, count, next) in &rows {
        despite_stalls(TIMEOUT, || {
            let shop = Shop::new();
            shop.crowd(1, 3);
            let pause = replies.iter().any(|it| it.1 == SECOND);
            let replies = replies.clone();
            let receiver = Receiver::new(move |nth, _| replies.get(nth).copied().unwrap_or(TAKEN));
            let begun = Instant::now();
            let ran = shop.posted(&receiver);
            assert_eq!(ran.code, Some(*code), "{name}: {ran:?}");
            let too_soon = pause && begun.elapsed() < Duration::from_secs(1);
            assert!(!too_soon, "{name}: repeated too soon");
            let posts = receiver.posts();
            assert_eq!(posts.len(), *count, "{name}: {ran:?}");
            let said = ran.stderr.contains("because");
            assert_eq!(said, *code != 0, "{name}: the receiver's words: {ran:?}");
            let again = shop.posted(&receiver);
            assert_eq!(again.code, Some(0), "{name}: {again:?}");
            let posts = receiver.posts();
            assert_eq!(posts.len(), count + next, "{name}: the next run");
            let keys: BTreeSet<&str> = posts.iter().map(Post::key).collect();
            assert_eq!(keys.len(), 1, "{name}: {keys:?}");
        });
    }
}

/// The signature of Standard Webhooks 1.0, with one line of the secret file for each secret.
#[test]
fn signed() {
    let shop = Shop::new();
    shop.crowd(1, 3);
    let receiver =
        Receiver::new(|nth, _| if nth == 0 { Reply(500, "", Duration::ZERO) } else { TAKEN });
    let secret = shop.data.folder().join("secret");
    fs::write(&secret, format!("{SECRET}\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"))
        .expect("secret");
    let child = shop.webhook(&receiver, &["--webhook-secret-file", "secret"]);
    let ran = Ran::from(child.wait_with_output().expect("the binary ends"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains(SECRET));
    let posts = receiver.posts();
    assert!(posts.len() >= 2, "{posts:?}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    for Post { headers, body } in &posts {
        let (id, timestamp) = (&headers["webhook-id"], &headers["webhook-timestamp"]);
        let signed = format!("{id}.{timestamp}.{body}");
        let tag = hmac::sign(&key, signed.as_bytes());
        let signatures: Vec<&str> = headers["webhook-signature"].split(' ').collect();
        assert_eq!(signatures.len(), 2, "{headers:?}");
        assert_eq!(signatures[0], format!("v1,{}", base64(tag.as_ref())));
        assert_eq!(id, &headers["idempotency-key"]);
        let notice: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(notice["notice_id"], id.as_str());
        assert_eq!(headers["content-type"], "application/json");
        let at: u64 = timestamp.parse().expect("seconds");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        assert!(now.abs_diff(at) < 600, "{at} is not now");
    }
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A receiver that fails for some users gets the notices of the others, and of these in every run.
#[test]
fn some_of_them() {
    despite_stalls(TIMEOUT, some_of_them_once);
}

fn some_of_them_once() {
    let shop = Shop::new();
    shop.crowd(60, 3);
    let trips = |post: &Post| post.user().ends_with('7');
    let refuses = |post: &Post| post.user().ends_with('3');
    let receiver = Receiver::new(move |_, post| match (trips(post), refuses(post)) {
        (true, _) => Reply(500, "retry-after: 3600\r\n", Duration::ZERO),
        (_, true) => Reply(422, "", Duration::ZERO),
        _ => TAKEN,
    });
    let ran = shop.posted(&receiver);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("sent 48 notices"), "{ran:?}");
    assert!(ran.stderr.contains("refused 6, failed 6"), "{ran:?}");
    receiver.forget();
    let again = shop.posted(&receiver);
    assert_eq!(again.code, Some(3), "{again:?}");
    let users: BTreeSet<String> = receiver.posts().iter().map(Post::user).collect();
    assert_eq!(users.len(), 12, "only those that did not arrive: {users:?}");
}

/// A run stops after some failed POSTs to a receiver that is down. The next run continues.
#[test]
fn down() {
    despite_stalls(TIMEOUT, down_once);
}

fn down_once() {
    let shop = Shop::new();
    shop.crowd(200, 3);
    let receiver = Receiver::new(|nth, _| match nth {
        0..60 => Reply(503, "retry-after: 3600\r\n", Duration::ZERO),
        _ => TAKEN,
    });
    let ran = shop.posted(&receiver);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("the receiver is down"), "{ran:?}");
    let tried = receiver.posts().len();
    assert!((20..28).contains(&tried), "{tried} posts to a receiver that is down");
    // The other users were not notified yet: their notices have all coupons that they have by then.
    let heard: BTreeSet<String> = receiver.posts().iter().map(Post::user).collect();
    let others = (0..200).map(|n| format!("user{n:05}")).filter(|user| !heard.contains(user));
    let last = in_days(3, &Zone::utc());
    let more = |user: String| (format!("MORE-{}", user.to_uppercase()), user, last);
    let more: Vec<_> = others.map(more).collect();
    shop.issued("crowd", &more);
    for _ in 0..2 {
        shop.posted(&receiver);
    }
    let ran = shop.posted(&receiver);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let taken = &receiver.posts()[60..];
    let taken: Vec<Value> =
        taken.iter().map(|post| serde_json::from_str(&post.body).expect("JSON")).collect();
    assert_eq!(told(&taken).len(), 200 + more.len(), "a user was not notified");
    assert_eq!(taken.len(), 200, "a user was notified twice");
}

/// No run on the day of the notice: the next run sends it.
#[test]
fn a_day_without_a_run() {
    let shop = Shop::new();
    let utc = Zone::utc();
    shop.campaign("c", &utc);
    let code = |days: u16| (format!("LEFT{days}"), "ann".to_owned(), in_days(days, &utc));
    shop.issued("c", &[code(1), code(2), code(5), code(6)]);
    let first = shop.to_file("7,3");
    assert!(
        first.stderr.contains("sent 0 notices"),
        "the first run sends no missed notices: {first:?}"
    );
    // As if that run had been two days ago.
    let journal = shop.memory("file-notices.jsonl-");
    let text = fs::read_to_string(&journal).expect("the journal");
    let earlier = text.lines().map(|line| {
        let mut record: Value = serde_json::from_str(line).expect("JSON");
        if let Some(since) = record["watch"].get(1).and_then(Value::as_i64) {
            record["watch"][1] = json!(since - 2 * 86_400_000);
        }
        format!("{record}\n")
    });
    let earlier: String = earlier.collect();
    fs::write(&journal, earlier).expect("the journal");
    // A user with a notice for two days left was notified.
    shop.campaign_until("short", &utc, &in_days(2, &utc).to_string());
    shop.does(&["coupon", "issue", "--campaign", "short", "--user", "new"]);
    assert_eq!(shop.to_file("7,3").code, Some(0));
    let text = fs::read_to_string(shop.file()).expect("the file");
    let want = [row("ann", "LEFT1", 3, 1), row("ann", "LEFT2", 3, 2)].into_iter();
    let want = want.chain([row("ann", "LEFT5", 7, 5), row("ann", "LEFT6", 7, 6)]).collect();
    assert_eq!(told(&notices(&text)), want);
    assert_eq!(shop.to_file("7,3").code, Some(0));
    let again = fs::read_to_string(shop.file()).expect("the file");
    assert_eq!(again, text, "told twice");
    // New days begin today.
    assert_eq!(shop.to_file("7,6,4,3").code, Some(0));
    let again = fs::read_to_string(shop.file()).expect("the file");
    let more = again.strip_prefix(&text).expect("the lines from before");
    assert_eq!(told(&notices(more)), BTreeSet::from([row("ann", "LEFT6", 6, 6)]));
}

/// One memory for several destinations.
#[test]
fn under_one_name() {
    let shop = Shop::new();
    shop.crowd(3, 3);
    let to = |file: &str| {
        shop.does(&["notify", "--days", "3", "--as", "mail", "--to", file]);
        let text = fs::read_to_string(shop.data.folder().join(file)).expect("the file");
        notices(&text).len()
    };
    assert_eq!((to("monday.jsonl"), to("tuesday.jsonl"), to("monday.jsonl")), (3, 0, 3));
}

/// The reader of the output has closed it: no user counts as notified.
#[test]
fn nobody_reads() {
    let shop = Shop::new();
    shop.crowd(2_000, 3);
    let mut command = shop.data.command(["notify", "--days", "3"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
    let status = child.wait().expect("wait");
    assert_eq!(status.code(), Some(0), "as every command whose reader closes the output");
    let printed = shop.does(&["notify", "--days", "3"]).stdout;
    assert_eq!(told(&notices(&printed)).len(), 2_000);
    assert!(
        printed
            .lines()
            .any(|line| notices(line)[0]["notice_id"] == notices(&first)[0]["notice_id"])
    );
}

#[test]
fn one_run_at_a_time() {
    let shop = Shop::new();
    shop.crowd(1, 3);
    let may_end = Arc::new(AtomicBool::new(false));
    let is_answered = Arc::clone(&may_end);
    let slow = Receiver::new(move |_, _| {
        while !is_answered.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK_EVERY);
        }
        TAKEN
    });
    let child = shop.webhook(&slow, &[]);
    wait_until("a post", || !slow.posts().is_empty());
    let second = shop.posted(&slow);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("another `couponry notify` is at work"), "{second:?}");
    assert_eq!(
        shop.does(&["notify", "--days", "3"]).stdout.lines().count(),
        1,
        "another destination"
    );
    may_end.store(true, Ordering::SeqCst);
    let first = Ran::from(child.wait_with_output().expect("the binary ends"));
    assert_eq!(first.code, Some(0), "{first:?}");
    // It posts again if it waits too long.
    let posts = slow.posts();
    let keys: BTreeSet<&str> = posts.iter().map(Post::key).collect();
    assert_eq!(keys.len(), 1, "{posts:?}");
}

#[test]
fn wrong_calls() {
    let shop = Shop::new();
    fs::write(shop.data.folder().join("short"), "too short").expect("short");
    let secret: &[&str] = &["--webhook", "https://shop.example/", "--webhook-secret-file"];
    let with = |more: &'static str| [secret, &[more]].concat();
    let rows: [(&str, Vec<&str>, &str); 12] = [
        ("not a number", vec!["--days", "soon"], "soon"),
        ("more than a year", vec!["--days", "367"], "366"),
        ("too many", vec!["--days", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"], "at most 16"),
        ("two places", vec!["--to", "x", "--webhook", "https://shop.example/"], "cannot be used"),
        ("no secret", vec!["--webhook", "https://shop.example/"], "COUPONRY_NOTIFY_SECRET"),
        ("no secret file", with("nowhere"), "nowhere"),
        ("a short secret", with("short"), "24 to 64"),
        (
            "in the clear",
            vec!["--webhook", "http://shop.example/", "--webhook-secret-file", "short"],
            "want https",
        ),
        (
            "not an address",
            vec!["--webhook", "shop", "--webhook-secret-file", "short"],
            "want https",
        ),
        ("not a name", vec!["--as", "a/b"], "want 1 to 64"),
        ("no ordinary file", vec!["--to", "/dev/null"], "no ordinary file"),
        ("a folder", vec!["--to", "."], "no ordinary file"),
    ];
    for (name, arguments, word) in rows {
        let arguments: Vec<&str> = ["notify"].into_iter().chain(arguments).collect();
        let ran = shop.run(&arguments);
        assert_eq!(ran.code, Some(2), "{name}: {ran:?}");
        assert!(ran.stderr.contains(word), "{name}: want {word}, {ran:?}");
        assert!(!shop.data.path().join("notices").exists(), "{name}: it has begun");
    }
    let nothing = Data::new().run(&["notify"]);
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(nothing.stderr.contains("no couponry data"), "{nothing:?}");
}

/// If an address is set, `serve` posts by itself, and the command knows its notices.
#[test]
fn serve_posts_by_itself() {
    let shop = Shop::new();
    shop.crowd(3, 3);
    let receiver = Receiver::new(|_, _| TAKEN);
    let url = receiver.url();
    let server = shop.data.serve_with(|command| {
        command.env("COUPONRY_NOTIFY_SECRET", SECRET).env("COUPONRY_NOTIFY_DAYS", "7,3");
        command.args(["--notify-webhook", &url]);
    });
    wait_until("three posts", || receiver.posts().len() == 3);
    server.stop();
    let again = shop.posted(&receiver);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(receiver.posts().len(), 3, "notified once: {again:?}");
}
