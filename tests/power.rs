//! The embedded store and the local cold folder on a disk that loses power, and on one that fails.
//!
//! The processes run with `recorder.c`, which writes down all that they do to the data folder. A
//! power cut is any moment of that journal: the folder is rebuilt with what the disk may still have
//! then, and checked. A failing disk is one call that returns an error.

mod power {
    #[expect(dead_code, reason = "this target uses a part of the kit of tests/service")]
    #[path = "../service/client.rs"]
    mod client;
    #[expect(dead_code, reason = "this target uses a part of the kit of tests/service")]
    #[path = "../service/data.rs"]
    mod data;
    #[expect(dead_code, reason = "this target uses a part of the kit of tests/service")]
    #[path = "../service/finished.rs"]
    mod finished;
    #[expect(dead_code, reason = "this target uses a part of the kit of tests/service")]
    #[path = "../service/shim.rs"]
    mod shim;

    mod dice;
    mod disk;
    mod file;
    mod journal;
    mod recorder;

    mod check;
    mod cuts;
    mod faults;
    mod known;
    mod workload;
    mod world;
}
