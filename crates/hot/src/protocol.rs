//! What every store decides in the same way, as pure functions over facts that the store has read.
//!
//! A store runs whole protocols: it reads, it writes, and it retries where it was in conflict. What the
//! facts mean is decided here, once, like the rules of one coupon in [`coupon::apply`]. Two shapes
//! occur. Where a decision needs one more look, it comes in two parts ([`change()`], then
//! [`Accepted::decide`]). Where facts are read one after the other, the function says which one it needs
//! and is called again ([`issue()`]). `H` is where a store finds a coupon again, `S` is where it writes
//! the next entry of a claim.

mod change;
mod choice;
mod claim;
mod import;
mod irreplaceable;
mod issue;
mod located;
mod named;
mod order;
mod partition;
mod reconcile;
mod shared;
mod state_counts;
mod stock;
#[cfg(test)]
pub(crate) mod testing;

pub use change::{Accepted, Admitted, ChangeStep, change, newcomers};
pub use choice::{CHOICES_MAX, Choice, Choices, SharedStep, shared_step};
pub use claim::{
    ANY_ISSUE, Claim, ClaimEnd, ClaimIntent, Counting, ENTRIES_MAX, Fate, Finish, NamedEntry,
    Replacement, claimant, fate, fenced, finish, issue_of, makes_holder,
};
pub use import::{LineAdvance, advance_line, arrived, has_dates};
pub use issue::{
    IssueAsk, IssueFacts, IssueRead, IssueStep, Replaced, ReplacedBy, give, issue, replaced,
};
pub use located::{Decision, FromCold, Here, Located, NewEntry, Promise, Writes, from_cold};
pub use named::{batch_before, patched, terms_tag};
pub use order::{cancel_for, hold_for, is_new_hold, may_redeem, release_for, user_of};
pub use partition::{
    closed_at, closed_until, is_closed, may_mint, partition_after, refused_by_seal, seal_after,
    serials_after,
};
pub use reconcile::{SERIAL_GAP, StoredFacts, imported_state_of, is_known};
pub use shared::{SharedAsk, shared};
pub use state_counts::{StateCounts, count_state};
pub use stock::{Left, is_dead_stock, is_history_full, is_on_offer, is_over, is_stock, untouched};
