//! Queries have the same answers with the cold tier in a bucket of a real S3 server.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use testbucket::{BUCKET, Kind, Server};

use crate::data::{Ran, TestData};

/// A bucket of versitygw is a folder.
fn put(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap().path();
        let to = to.join(entry.file_name().unwrap());
        match entry.is_dir() {
            true => put(&entry, &to),
            false => drop(fs::copy(&entry, &to).unwrap()),
        }
    }
}

#[test]
fn in_a_bucket() {
    let Some(server) = Server::start(Kind::Versitygw) else { return };
    eprintln!("the cold tier is in a bucket of versitygw");
    let data = TestData::new();
    put(&data.at("cold"), &server.bucket().join("cold"));
    let address = format!("s3://{BUCKET}/cold");
    let on_bucket = |arguments: &[&str]| {
        let mut command = data.command_on(OsStr::new(&address), arguments);
        Ran::of(command.envs(server.environment()).output().unwrap())
    };
    let cases: [(&str, &[&str]); 4] = [
        ("both tiers", &["select tier, state, count(*) from coupons group by 1, 2 order by 1, 2"]),
        ("one partition of many", &["select code from coupons where expiry_day = '2026-03-01'"]),
        ("events", &["select kind, count(*) from events group by 1 order by 1"]),
        ("as of a version", &["--as-of", "1", "select count(*) from coupons"]),
    ];
    for (name, arguments) in cases {
        let (want, found) = (data.run(arguments), on_bucket(arguments));
        assert_eq!(found.code, 0, "{name}: {found:?}");
        assert_eq!((found.out, found.err), (want.out, want.err), "{name}");
    }
}
