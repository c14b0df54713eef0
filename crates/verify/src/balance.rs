//! Compares two tables without a look-up for each row: what a coupon should find in the other table is
//! added on one side, what the table has on the other. The contradictions are left over, one by one.
//!
//! This is an invertible Bloom lookup table (Goodrich and Mitzenmacher 2011, arXiv:1101.2245): each posting
//! of one side is added to three of many cells, and each of the other side is subtracted from three, so
//! equal ones cancel out. A cell with one posting alone shows it; without that posting its other cells may
//! have one alone, and so on. This works while fewer postings are left over than four fifths of the cells.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, RandomState};

use coupon::code::{Code, FOREIGN_LEN_MAX};
use coupon::ids::{CampaignId, IssueRef, UserId};
use coupon::time::{Day, Millis};

/// Cells for each of the three places of a posting: 38 MB altogether, for 300,000 contradictions.
const CELLS: usize = 1 << 17;

const PLACES: usize = 3;

/// Bytes of what a cell shows of a posting: the table, the day, and the code after its length.
const LABEL: usize = 1 + 4 + 1 + FOREIGN_LEN_MAX;

/// Everything that must be the same on both sides.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) enum BalanceEntry<'a> {
    Entry {
        code: &'a str,
        day: Day,
        campaign: &'a str,
        batch: &'a str,
        /// `valid_from` and `expires_at` of the last line that was imported.
        dates: Option<[Millis; 2]>,
    },
    /// Shown with the day, which need not be the same.
    Claim {
        campaign: &'a CampaignId,
        user: &'a UserId,
        code: &'a str,
        reference: Option<&'a IssueRef>,
        /// The event that gave the coupon to the user, from 1, if one issued it.
        issue: Option<i64>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PostingTable {
    Directory = 1,
    Claims = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BalanceSide {
    /// A coupon should have it.
    Coupon = -1,
    /// The table has it.
    Table = 1,
}

/// A posting that one side alone has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LeftOver {
    pub(crate) of: PostingTable,
    pub(crate) side: BalanceSide,
    pub(crate) day: Day,
    pub(crate) code: Code,
    pub(crate) fingerprint: u64,
}

#[derive(Clone)]
struct BalanceCell {
    /// Postings of tables less those of coupons.
    count: i64,
    /// Their fingerprints, added up with the same signs.
    fingerprints: u64,
    /// The same of what [`mixed`] makes of them, so that a sum of several is not taken for one.
    checks: u64,
    /// Their labels, each over the other.
    label: [u8; LABEL],
}

const EMPTY: BalanceCell = BalanceCell { count: 0, fingerprints: 0, checks: 0, label: [0; LABEL] };

pub(crate) struct Balance {
    /// With a key that nobody knows, so that nobody can choose names that cancel out.
    hashing: RandomState,
    cells: Vec<BalanceCell>,
    /// Cells for each place of a posting; a power of two.
    width: usize,
}

impl Default for Balance {
    fn default() -> Balance {
        Balance::of_width(CELLS)
    }
}

impl Balance {
    fn of_width(width: usize) -> Balance {
        assert!(width.is_power_of_two(), "the places are cut out of bits");
        Balance { hashing: RandomState::new(), cells: vec![EMPTY; PLACES * width], width }
    }

    /// Makes the [fingerprints](LeftOver::fingerprint) of this run alone.
    pub(crate) fn hashing(&self) -> RandomState {
        self.hashing.clone()
    }

    /// The day is only shown, not compared.
    pub(crate) fn add(&mut self, side: BalanceSide, posting: &BalanceEntry<'_>, day: Day) {
        let fingerprint = self.hashing.hash_one(posting);
        let (of, code) = match posting {
            BalanceEntry::Entry { code, .. } => (PostingTable::Directory, code),
            BalanceEntry::Claim { code, .. } => (PostingTable::Claims, code),
        };
        self.put(side as i64, fingerprint, &label(of, day, code));
    }

    /// `sign` is that of a [`BalanceSide`].
    fn put(&mut self, sign: i64, fingerprint: u64, label: &[u8; LABEL]) {
        let check = mixed(fingerprint);
        for at in places(fingerprint, self.width) {
            let cell = &mut self.cells[at];
            cell.count += sign;
            cell.fingerprints = cell.fingerprints.wrapping_add(signed(fingerprint, sign));
            cell.checks = cell.checks.wrapping_add(signed(check, sign));
            cell.label.iter_mut().zip(label).for_each(|(all, one)| *all ^= one);
        }
    }

    /// The posting of a cell that has one alone.
    fn alone(&self, at: usize) -> Option<(BalanceSide, u64)> {
        let cell = &self.cells[at];
        let side = match cell.count {
            -1 => BalanceSide::Coupon,
            1 => BalanceSide::Table,
            _ => return None,
        };
        let fingerprint = signed(cell.fingerprints, cell.count);
        let is_one = signed(cell.checks, cell.count) == mixed(fingerprint)
            && places(fingerprint, self.width).contains(&at);
        is_one.then_some((side, fingerprint))
    }

    /// Takes out what is left over, in order; `None` if it is too much.
    pub(crate) fn left_over(&mut self) -> Option<BTreeSet<LeftOver>> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = (0..self.cells.len()).collect();
        while let Some(at) = open.pop() {
            let Some((side, fingerprint)) = self.alone(at) else { continue };
            let label = self.cells[at].label;
            found.insert(read(side, fingerprint, &label)?);
            self.put(-(side as i64), fingerprint, &label);
            open.extend(places(fingerprint, self.width));
        }
        let is_empty =
            |cell: &BalanceCell| cell.count == 0 && cell.fingerprints == 0 && cell.checks == 0;
        self.cells.iter().all(is_empty).then_some(found)
    }
}

fn signed(sum: u64, sign: i64) -> u64 {
    sum.wrapping_mul(sign.cast_unsigned())
}

/// The cells of a posting, one in each third.
fn places(fingerprint: u64, width: usize) -> [usize; PLACES] {
    let bits = width.trailing_zeros();
    std::array::from_fn(|nth| {
        let piece = fingerprint >> (bits as usize * nth);
        nth * width + (piece as usize & (width - 1))
    })
}

/// The finalizer of MurmurHash3 (Appleby, public domain).
fn mixed(fingerprint: u64) -> u64 {
    let mut mixed = fingerprint;
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

fn label(of: PostingTable, day: Day, code: &str) -> [u8; LABEL] {
    let mut label = [0; LABEL];
    label[0] = of as u8;
    label[1..5].copy_from_slice(&day.0.to_le_bytes());
    let code = &code.as_bytes()[..code.len().min(FOREIGN_LEN_MAX)];
    label[5] = code.len() as u8;
    label[6..6 + code.len()].copy_from_slice(code);
    label
}

/// The posting of a label; `None` if that is none.
fn read(side: BalanceSide, fingerprint: u64, label: &[u8; LABEL]) -> Option<LeftOver> {
    let of = match label[0] {
        1 => PostingTable::Directory,
        2 => PostingTable::Claims,
        _ => return None,
    };
    let day = Day(i32::from_le_bytes([label[1], label[2], label[3], label[4]]));
    let code = std::str::from_utf8(label.get(6..6 + usize::from(label[5]))?).ok()?;
    Some(LeftOver { of, side, day, code: code.parse().ok()?, fingerprint })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(code: &str) -> BalanceEntry<'_> {
        BalanceEntry::Entry { code, day: Day(7), campaign: "c", batch: "first", dates: None }
    }

    #[test]
    fn what_one_side_alone_has_is_left_over() {
        let (ann, bob): (UserId, UserId) = ("ann".parse().unwrap(), "bob".parse().unwrap());
        let campaign: CampaignId = "c".parse().unwrap();
        let claim = |user, issue| BalanceEntry::Claim {
            campaign: &campaign,
            user,
            code: "CLAIMED1",
            reference: None,
            issue: Some(issue),
        };
        let of_batch = BalanceEntry::Entry {
            code: "MOVED01",
            day: Day(7),
            campaign: "c",
            batch: "second",
            dates: None,
        };
        use BalanceSide::{Coupon, Table};
        let a = |side| (side, entry("A00001"));
        let moved = vec![(Coupon, entry("MOVED01")), (Table, of_batch)];
        let of_another = vec![(Coupon, claim(&ann, 1)), (Table, claim(&bob, 1))];
        let another_event = vec![(Coupon, claim(&ann, 1)), (Table, claim(&ann, 3))];
        let rows = [
            ("nothing", vec![], Some("")),
            ("both have it", vec![a(Coupon), a(Table)], Some("")),
            ("it is missing", vec![a(Coupon)], Some("Coupon A00001")),
            ("it is alone", vec![a(Table)], Some("Table A00001")),
            ("they differ", moved, Some("Coupon MOVED01, Table MOVED01")),
            ("the claim of another", of_another, Some("Coupon CLAIMED1, Table CLAIMED1")),
            ("another event", another_event, Some("Coupon CLAIMED1, Table CLAIMED1")),
            ("one of two", vec![a(Coupon), a(Coupon), a(Table)], Some("Coupon A00001")),
            ("two too many", vec![a(Table), a(Table)], None),
        ];
        for (name, postings, want) in rows {
            let mut balance = Balance::of_width(1 << 10);
            for (side, posting) in &postings {
                balance.add(*side, posting, Day(7));
            }
            let found = balance.left_over().map(|found| {
                let mut found: Vec<String> =
                    found.iter().map(|it| format!("{:?} {}", it.side, it.code)).collect();
                found.sort();
                found.join(", ")
            });
            assert_eq!(found.as_deref(), want, "{name}");
        }
    }

    #[test]
    fn many_are_left_over_among_more_that_agree() {
        let mut balance = Balance::of_width(1 << 10);
        let code = |nth: u32| format!("CODE{nth:06}");
        for nth in 0..50_000 {
            balance.add(BalanceSide::Coupon, &entry(&code(nth)), Day(7));
        }
        for nth in 1_000..51_000 {
            balance.add(BalanceSide::Table, &entry(&code(nth)), Day(7));
        }
        let found = balance.left_over().expect("2,000 in 3,072 cells");
        let of = |side| {
            let of_side = found.iter().filter(|it| it.side == side);
            of_side.map(|it| (it.day, it.code.to_string())).collect::<Vec<_>>()
        };
        let want = |from, to| (from..to).map(|nth| (Day(7), code(nth))).collect::<Vec<_>>();
        assert_eq!(of(BalanceSide::Coupon), want(0, 1_000));
        assert_eq!(of(BalanceSide::Table), want(50_000, 51_000));
    }

    #[test]
    fn more_than_its_cells_show_is_too_much() {
        let mut balance = Balance::of_width(1 << 10);
        for nth in 0..3_000 {
            balance.add(BalanceSide::Coupon, &entry(&format!("CODE{nth:06}")), Day(7));
        }
        assert_eq!(balance.left_over(), None);
    }
}
