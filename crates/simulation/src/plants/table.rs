//! The planted bugs, by what they are about, and the controls.

mod claims;
mod cold;
mod controls;
mod coupons;
mod days;
mod erasures;
mod feed;
mod imports;
mod records;
mod stock;

use super::PlantedBug;

static TABLES: [&[PlantedBug]; 10] = [
    coupons::PLANTS,
    claims::PLANTS,
    stock::PLANTS,
    days::PLANTS,
    imports::PLANTS,
    cold::PLANTS,
    feed::PLANTS,
    records::PLANTS,
    erasures::PLANTS,
    controls::CONTROLS,
];

pub(super) fn all() -> impl Iterator<Item = &'static PlantedBug> {
    TABLES.iter().copied().flatten()
}
