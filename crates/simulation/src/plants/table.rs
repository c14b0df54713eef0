//! The planted bugs, by what they are about, and the controls.

mod claims;
mod cold;
mod controls;
mod coupons;
mod days;
mod feed;
mod imports;
mod stock;

use super::Plant;

static TABLES: [&[Plant]; 8] = [
    coupons::PLANTS,
    claims::PLANTS,
    stock::PLANTS,
    days::PLANTS,
    imports::PLANTS,
    cold::PLANTS,
    feed::PLANTS,
    controls::CONTROLS,
];

pub(super) fn all() -> impl Iterator<Item = &'static Plant> {
    TABLES.iter().copied().flatten()
}
