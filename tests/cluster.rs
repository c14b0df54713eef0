//! Once, seen from outside: many clients, real processes, faults on purpose, and a checker that
//! reads the whole history afterwards.
//!
//! What needs a cluster says in one line that it did not run where there is none, and passes;
//! with `COUPONRY_REQUIRE_ENGINES=1` it fails.

mod cluster {
    #[expect(dead_code, reason = "the kit of tests/service, of which this target uses a part")]
    #[path = "../service/client.rs"]
    mod client;
    #[expect(dead_code, reason = "the kit of tests/service, of which this target uses a part")]
    #[path = "../service/data.rs"]
    mod data;

    mod choice;
    mod exactly_n;
    mod faults;
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
