//! What the [balance](crate::balance) left over: each is read and judged by itself.

use std::collections::HashSet;
use std::hash::BuildHasher;

use hot::inventory::PAGE_ITEMS;

use crate::balance::{BalanceSide, LeftOver, PostingTable};
use crate::postings;
use crate::verifier::{Result, Verifier};

impl Verifier<'_> {
    /// Judges what is left over; false if it is too much for the balance.
    pub(crate) async fn left_over(&mut self) -> Result<bool> {
        let Some(balance) = self.balance.take() else { return Ok(true) };
        let (left_over, hashing) = {
            let mut balance = balance.lock();
            (balance.left_over(), balance.hashing())
        };
        let Some(left_over) = left_over else { return Ok(false) };
        let (mut codes, mut claims) = (Vec::new(), HashSet::new());
        for LeftOver { of, side, day, code, fingerprint } in left_over {
            match (side, of) {
                (BalanceSide::Coupon, _) => {
                    self.recheck.insert((day, code));
                    self.look_again_if_many().await?;
                }
                (BalanceSide::Table, PostingTable::Directory) => codes.push(code),
                (BalanceSide::Table, PostingTable::Claims) => {
                    claims.insert(fingerprint);
                }
            }
        }
        for codes in codes.chunks(PAGE_ITEMS) {
            self.entries_of(codes.to_vec()).await?;
        }
        if !claims.is_empty() {
            let of = |claim: &_| hashing.hash_one(postings::claim(claim));
            self.claims_of(&claims, of).await?;
        }
        Ok(true)
    }
}
