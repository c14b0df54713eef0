//! The service from outside: the real binary with its own folder, over sockets.
//!
//! Some suites need more than cargo (root for a small disk, `cc` for a disk that fails). Without it
//! they print a line and pass. With `COUPONRY_REQUIRE_ENGINES=1` they fail.

mod service {
    mod client;
    mod data;
    mod downloads;
    mod engine;
    mod finished;
    mod shim;

    mod backup;
    mod bucket;
    mod cli;
    mod clients;
    mod clock;
    mod cluster;
    mod codes;
    mod commands;
    mod compact;
    mod console;
    mod copy;
    mod damage;
    mod disk;
    mod docs;
    mod exactly_n;
    mod fault;
    mod history;
    mod hostile;
    mod image;
    mod import;
    mod kept;
    mod keys;
    mod kubernetes;
    mod laptop;
    mod litestream;
    mod logs;
    mod monitoring;
    mod notify;
    mod once;
    mod package;
    mod people;
    mod private;
    mod proxy;
    mod readers;
    mod readme;
    mod releases;
    mod remote;
    mod shutdown;
    mod spaces;
    mod strangers;
    mod synced;
    mod traces;
    mod units;
    mod verify;
    mod visitor;
    mod webhooks;
}
