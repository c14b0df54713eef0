//! Notices: every holder gets each notice once, also if a round is interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coupon::calendar::{Date, Zone};
use coupon::time::Millis;
use serde_json::{Value, json};

use super::data::{Data, LOOK_EVERY, PATIENCE, Ran, Server, wait_until};

/// These tests avoid midnight, because the day could change between two steps.
const MIDNIGHT_MS: i64 = 300_000;

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

    fn notify(&self, arguments: &[&str]) -> String {
        self.does(&[&["notify"], arguments].concat()).stdout
    }

    fn serve(&self) -> Server {
        self.data.serve_with(|command| {
            command.arg("--webhook-allow-private");
        })
    }

    /// Webhooks at the receiver: one asks for notices, and one for nothing.
    fn hook(&self, receiver: &Receiver) {
        let server = self.serve();
        for (name, types) in [("asks", json!(["coupons.expiring"])), ("all", Value::Null)] {
            self.hook_of(&server, receiver, name, &types);
        }
        server.stop();
    }

    fn hook_of(&self, server: &Server, receiver: &Receiver, name: &str, types: &Value) {
        let mut new = json!({"webhook_id": name, "url": format!("{}/{name}", receiver.url())});
        if !types.is_null() {
            new["types"] = types.clone();
        }
        let token = self.data.token("admin", "root");
        server.client(&token).post("/v1/webhooks", &new).must(201);
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

/// A receiver that takes everything.
struct Receiver {
    address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Receiver {
    fn new() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let posts = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&posts);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || take(socket, &all).ok());
            }
        });
        Receiver { address, posts }
    }

    fn url(&self) -> String {
        format!("http://{}/notices", self.address)
    }

    /// The notices that came, each with its headers.
    fn notices(&self) -> Vec<(Post, Value)> {
        self.of_type("coupons.expiring")
    }

    fn of_type(&self, event_type: &str) -> Vec<(Post, Value)> {
        let posts = self.posts.lock().expect("posts").clone();
        let read = |post: Post| {
            let body: Value = serde_json::from_str(&post.body).expect("JSON");
            (body["type"] == event_type).then_some((post, body))
        };
        posts.into_iter().filter_map(read).collect()
    }
}

fn take(socket: TcpStream, all: &Mutex<Vec<Post>>) -> std::io::Result<()> {
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
        let body = String::from_utf8(body).expect("UTF-8");
        all.lock().expect("posts").push(Post { headers, body });
        socket.get_mut().write_all(b"HTTP/1.1 204 x\r\n\r\n")?;
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
    let (shop, receiver) = (Shop::new(), Receiver::new());
    shop.hook(&receiver);
    let utc = Zone::utc();
    shop.campaign("c", &utc);
    let last = in_days(3, &utc);
    shop.issued("c", &[("CARD1".to_owned(), "ann".to_owned(), last)]);
    let notify = || shop.does(&["notify", "--webhooks"]).stderr;
    assert!(notify().contains("sent 1 notices about 1 coupons"));
    assert!(notify().contains("sent 0 notices"), "it is queued");
    let server = shop.serve();
    wait_until("the notice", || !receiver.notices().is_empty());
    server.stop();
    let notices = receiver.notices();
    let [(post, body)] = &notices[..] else { panic!("{notices:?}") };
    assert_eq!(body["data"]["user_id"], "ann");
    assert_eq!(body["data"]["coupons"][0]["code"], "CARD1");
    assert_eq!(body["data"]["notice_id"], post.headers["webhook-id"]);
}

/// `serve` runs rounds by itself while a webhook asks for notices.
#[test]
fn serve_sends_by_itself() {
    let (shop, receiver) = (Shop::new(), Receiver::new());
    shop.crowd(3, 7);
    shop.hook(&receiver);
    let server = shop.serve();
    wait_until("three notices", || receiver.notices().len() == 3);
    server.stop();
    let again = shop.does(&["notify", "--webhooks"]).stderr;
    assert!(again.contains("sent 0 notices"), "{again}");
}

/// The report of the week that is over, once for each webhook that asks for it.
#[test]
fn week_of_the_store() {
    let (shop, receiver) = (Shop::new(), Receiver::new());
    let reports = || receiver.of_type("report.weekly");
    let asks = json!(["report.weekly"]);
    for (name, want) in [("first", 1), ("second", 2)] {
        let server = shop.serve();
        shop.hook_of(&server, &receiver, name, &asks);
        // A process announces a week once, and the next process to those who do not have it.
        server.stop();
        let server = shop.serve();
        wait_until("the report", || reports().len() == want);
        server.stop();
    }
    let reports = reports();
    let [(first, body), (second, _)] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
    let zero = json!({"issued": 0, "redeemed": 0, "redemptions_cancelled": 0, "amounts": []});
    assert_eq!((&body["data"]["sum"], &body["data"]["week_before"]), (&zero, &zero));
    let monday = body["data"]["from"].as_str().expect("a day");
    assert_eq!(first.headers["webhook-id"], format!("report-{monday}"));
}

/// Rounds are killed again and again: in the end each holder has each notice, with one id.
#[test]
fn killed() {
    const USERS: usize = 1_500;
    let (shop, receiver) = (Shop::new(), Receiver::new());
    shop.crowd(USERS, 3);
    shop.hook(&receiver);
    let mut finished = false;
    for pause in (0..).map(|nth| Duration::from_millis(40 * nth)).take(20) {
        let mut command = shop.data.command(["notify", "--webhooks"]);
        let mut child = command.stderr(Stdio::null()).spawn().expect("runs");
        std::thread::sleep(pause);
        finished |= child.try_wait().expect("a process").is_some_and(|status| status.success());
        // It may have ended by itself.
        drop(child.kill());
        child.wait().expect("wait");
        if finished {
            break;
        }
    }
    shop.does(&["notify", "--webhooks"]);
    let server = shop.serve();
    wait_until("all notices", || receiver.notices().len() >= USERS);
    server.stop();
    let mut ids = BTreeMap::<String, BTreeSet<String>>::new();
    for (_, body) in receiver.notices() {
        let of = |name: &str| body["data"][name].as_str().expect("a text").to_owned();
        ids.entry(of("user_id")).or_default().insert(of("notice_id"));
    }
    assert_eq!(ids.len(), USERS, "a holder was not notified");
    let twice: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "two ids: {twice:?}");
}

/// Which coupons are in notices; each name once.
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
    let dry = || shop.does(&["notify", "--days", "3", "--dry-run"]);
    assert!(dry().stdout.is_empty() && dry().stderr.contains("3 notices about 4 coupons"));
    let first = shop.notify(&["--days", "3"]);
    assert_eq!(told(&notices(&first)), want, "a dry run writes nothing");
    assert_eq!(notices(&first).len(), 3, "one line for each holder");
    assert_eq!(shop.notify(&["--days", "3"]), "", "printed to its end before");
    let other = shop.notify(&["--days", "3", "--as", "mail"]);
    let ids = |text: &str| -> BTreeSet<String> {
        notices(text).iter().map(|it| it["notice_id"].to_string()).collect()
    };
    assert_eq!(ids(&other), ids(&first), "another name gets the same notices");
    shop.does(&["campaign", "resume", "paused"]);
    assert!(dry().stderr.contains("1 notices about 1 coupons"));
    let more = shop.notify(&["--days", "3"]);
    assert_eq!(told(&notices(&more)), BTreeSet::from([row("ann", "WAITS", 3, 3)]), "resumed");
    assert_eq!(shop.notify(&["--days", "3"]), "");
}

/// A holder with very many coupons gets several notices, each coupon in one of them.
#[test]
fn very_many_coupons() {
    let shop = Shop::new();
    let utc = Zone::utc();
    shop.campaign("c", &utc);
    let last = in_days(3, &utc);
    let row = |n: usize| (format!("HOUSE{n:05}"), "house".to_owned(), last);
    shop.issued("c", &(0..2_350).map(row).collect::<Vec<_>>());
    let printed = notices(&shop.notify(&["--days", "3"]));
    assert_eq!(told(&printed).len(), 2_350);
    assert_eq!(printed.len(), 24, "of at most 100 coupons");
}

/// The reader of the output has closed it: no holder counts as notified.
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
    let printed = notices(&shop.notify(&["--days", "3"]));
    assert_eq!(told(&printed).len(), 2_000);
    assert!(printed.iter().any(|it| it["notice_id"] == notices(&first)[0]["notice_id"]));
}

#[test]
fn wrong_calls() {
    let shop = Shop::new();
    let rows: [(&str, &[&str], &str); 7] = [
        ("not a number", &["--days", "soon"], "soon"),
        ("more than a year", &["--days", "367"], "366"),
        ("too many", &["--days", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"], "at most 16"),
        ("not a name", &["--as", "a/b"], "want 1 to 64"),
        ("a name for webhooks", &["--as", "mail", "--webhooks"], "cannot be used"),
        ("days for webhooks", &["--days", "3", "--webhooks"], "cannot be used"),
        ("a name of the store's own", &["--as", "webhooks"], "webhooks"),
    ];
    for (name, arguments, word) in rows {
        let ran = shop.run(&[&["notify"], arguments].concat());
        assert_eq!(ran.code, Some(2), "{name}: {ran:?}");
        assert!(ran.stderr.contains(word), "{name}: want {word}, {ran:?}");
    }
    let nobody = shop.run(&["notify", "--webhooks"]);
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("no webhook asks for coupons.expiring"), "{nobody:?}");
    let nothing = Data::new().run(&["notify"]);
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(nothing.stderr.contains("no couponry data"), "{nothing:?}");
}
