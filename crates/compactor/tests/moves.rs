//! The compactor on a real hot store and a real cold folder: nothing is lost, nothing is there
//! twice, whoever stops, fails, freezes or works beside it.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

mod moves {
    mod damage;
    mod plan;
    mod readers;
    mod restored;
    mod steps;
    mod stores;
    mod together;
    mod world;
}
