//! The servers that are compared: couponry and its peers, each with its coupons.

use std::sync::Arc;

use loadtest::ready::{CAMPAIGN, ServerPreparation};
use loadtest::stock::UserOrder;
use loadtest::wire::ServerAddress;

use crate::Failure;
use crate::bench::Bench;
use crate::served::{Couponry, Served, peer};

/// A server with coupons.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) target: ServerAddress,
    pub(crate) admin: String,
    pub(crate) shop: String,
    /// How many of its coupons were used.
    pub(crate) used: u64,
    /// The codes of its coupons, if they were minted.
    pub(crate) codes: Option<Arc<Vec<Box<str>>>>,
}

impl Side {
    fn of_peer(name: &'static str, served: &Served) -> Result<Side, Failure> {
        let (admin, shop) = (String::new(), String::new());
        Ok(Side { name, target: served.target()?, admin, shop, used: 0, codes: None })
    }

    /// couponry, with its coupons minted.
    pub(crate) fn of_couponry(bench: &Bench, couponry: &Couponry) -> Result<Side, Failure> {
        let (admin, shop) = (couponry.admin.clone(), couponry.shop.clone());
        let target = couponry.served.target()?;
        let coupons = bench.arguments.coupons;
        println!("loading {coupons} coupons on each side");
        let mut ready = ServerPreparation::new(target.clone(), &admin, UserOrder::Scattered);
        let codes = bench.runtime.block_on(async {
            ready.campaign(CAMPAIGN, 2 * coupons).await?;
            ready.minted(0, coupons, 64).await
        })?;
        Ok(Side { name: "couponry", target, admin, shop, used: 0, codes: Some(Arc::new(codes)) })
    }
}

/// The peers. They are stopped when this value is dropped.
pub(crate) struct Peers {
    pub(crate) counter: Side,
    pub(crate) pool: Side,
    pub(crate) always: Side,
    pub(crate) everysec: Side,
    pub(crate) constant: Side,
    _served: Vec<Served>,
}

impl Peers {
    pub(crate) fn start(coupons: u64) -> Result<Peers, Failure> {
        let coupons = coupons.to_string();
        let mut served = Vec::new();
        let mut start = |name: &'static str, arguments: &[&str]| -> Result<Side, Failure> {
            let process = peer(arguments)?;
            let side = Side::of_peer(name, &process)?;
            served.push(process);
            Ok(side)
        };
        let counter = ["postgres", "--issue", "counter", "--coupons", coupons.as_str()];
        let counter = start("PostgreSQL, counter row", &counter)?;
        let pool = start("PostgreSQL, SKIP LOCKED", &["postgres", "--issue", "pool"])?;
        let always = start("Redis, always", &["redis", "--fsync", "always"])?;
        let everysec = start("Redis, everysec", &["redis", "--fsync", "everysec"])?;
        let constant = start("constant", &["constant"])?;
        Ok(Peers { counter, pool, always, everysec, constant, _served: served })
    }
}
