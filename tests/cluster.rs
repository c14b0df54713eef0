//! Each coupon once, tested from outside: many clients, real processes, planned faults, and a
//! checker that reads the whole history afterwards.
//!
//! Without a cluster a test that needs one prints a line and passes. With
//! `COUPONRY_REQUIRE_ENGINES=1` it fails.

mod cluster {
    #[expect(dead_code, reason = "this target uses a part of the kit of tests/service")]
    #[path = "../service/client.rs"]
    mod client;
    #[expect(dead_code, reason = "this target uses a part of the kit of tests/service")]
    #[path = "../service/data.rs"]
    mod data;

    mod apart;
    mod choice;
    mod exactly_n;
    mod faults;
    mod feed;
    mod fleet;
    mod history;
    mod late;
    mod linear;
    mod load;
    mod model;
    mod once;
    mod outage;
    mod report;
    mod sale;
    mod services;
    mod truth;
    mod wire;
}
