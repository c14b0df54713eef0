//! Which statements a plant is about: by parts of their texts, which a unit test looks for in the
//! sources of the store.

use cql_session::{BoundValue, StatementProfile, StatementRequest};

/// Some statements.
#[derive(Clone, Copy)]
pub(super) struct StatementPattern {
    /// All of these are in the text.
    parts: &'static [&'static str],
    /// None of these is.
    without: &'static [&'static str],
    profile: Option<StatementProfile>,
    /// The value of this number begins so.
    value: Option<(usize, &'static [u8])>,
    /// The values of these numbers are not bound.
    unset: &'static [usize],
}

impl StatementPattern {
    pub(super) const fn of(parts: &'static [&'static str]) -> StatementPattern {
        StatementPattern { parts, without: &[], profile: None, value: None, unset: &[] }
    }

    const fn without(self, without: &'static [&'static str]) -> StatementPattern {
        StatementPattern { without, ..self }
    }

    const fn sent(self, profile: StatementProfile) -> StatementPattern {
        StatementPattern { profile: Some(profile), ..self }
    }

    const fn with(self, number: usize, begins: &'static [u8]) -> StatementPattern {
        StatementPattern { value: Some((number, begins)), ..self }
    }

    const fn unset(self, unset: &'static [usize]) -> StatementPattern {
        StatementPattern { unset, ..self }
    }

    /// Whether a text is one of them.
    pub(super) fn has_text(&self, cql: &str) -> bool {
        let has = |part: &&str| cql.contains(*part);
        self.parts.iter().all(has) && !self.without.iter().any(has)
    }

    pub(super) fn has(&self, request: &StatementRequest) -> bool {
        let value = |number: usize| request.rows.first().and_then(|row| row.get(number));
        let is_value = |(number, begins): (usize, &[u8])| {
            let value = value(number);
            matches!(value, Some(BoundValue::Value(bytes)) if bytes.starts_with(begins))
        };
        let is_unset = |number: &usize| matches!(value(*number), Some(BoundValue::Unset));
        self.has_text(request.cql)
            && self.profile.is_none_or(|profile| profile == request.profile)
            && self.value.is_none_or(is_value)
            && self.unset.iter().all(is_unset)
    }
}

// Coupons.

/// A change of a coupon that has a row.
pub(super) const LATER: StatementPattern = StatementPattern::of(&[
    "UPDATE coupon SET version = ?, state = ?",
    "IF version = :before AND sealed",
]);
/// The first row of a coupon.
pub(super) const NEW: StatementPattern = StatementPattern::of(&[
    "UPDATE coupon SET version = ?, state = ?",
    "IF version = null AND sealed",
]);
/// The row of an import or of a copy.
pub(super) const PLAIN: StatementPattern =
    StatementPattern::of(&["UPDATE coupon USING TIMESTAMP :written SET version"]);
pub(super) const ROW: StatementPattern = StatementPattern::of(&[
    "SELECT expiry_day, bucket, code, sealed, version",
    " bucket = ? AND code = ?",
]);
pub(super) const ROW_SERIAL: StatementPattern = ROW.sent(StatementProfile::Serial);
/// The rows of a bucket that was sealed, whose moves are finished then.
pub(super) const BUCKET: StatementPattern =
    StatementPattern::of(&["SELECT expiry_day, bucket, code, sealed, version", " AND code >= ''"]);
pub(super) const IS_SEALED: StatementPattern = StatementPattern::of(&[
    "SELECT sealed FROM coupon WHERE expiry_day = ? AND bucket = ? LIMIT 1",
]);
pub(super) const SEAL: StatementPattern =
    StatementPattern::of(&["UPDATE coupon SET sealed = true", "IF sealed = null"]);
pub(super) const SEAL_OF_BUCKET_0: StatementPattern = SEAL.with(1, &[0, 0, 0, 0]);
pub(super) const EVICT: StatementPattern =
    StatementPattern::of(&["UPDATE coupon SET version = ?, state = 'archived'", "made = null"]);
pub(super) const EMPTY: StatementPattern =
    StatementPattern::of(&["DELETE FROM coupon USING TIMESTAMP ?", " AND code > ?"]);

// The feed.

pub(super) const ANNOUNCE: StatementPattern =
    StatementPattern::of(&["UPDATE change USING TTL", "kind = ?"]);
pub(super) const ASIDE: StatementPattern = StatementPattern::of(&["changes = ?, moved_from = ?"]);
pub(super) const LIST_UNREAD: [StatementPattern; 2] =
    [ENTER_SPAN.with(2, &[0, 0, 0, 2]), ENTER_SPAN.with(2, &[0, 0, 0, 5])];
/// The rows of a part of the feed.
pub(super) const PART: StatementPattern = StatementPattern::of(&["FROM change WHERE shard = ?"])
    .without(&["SELECT moved_from", "SELECT refused"]);
pub(super) const SEEN: StatementPattern =
    StatementPattern::of(&["SELECT version, state, sealed, events, made"]);
pub(super) const ENTER_SPAN: StatementPattern =
    StatementPattern::of(&["UPDATE change_span USING TTL"]);
pub(super) const MARK: StatementPattern = StatementPattern::of(&["INSERT INTO feed_progress"]);
pub(super) const MARK_READ: StatementPattern =
    StatementPattern::of(&["SELECT slot FROM feed_progress"]);
pub(super) const EARLIER: StatementPattern =
    StatementPattern::of(&["FROM change WHERE shard = ? AND slot IN ? AND code = ?"]);
pub(super) const END_VERSION: StatementPattern = LATER.with(6, b"feed:version-end");
pub(super) const END_FIRST_VERSION: StatementPattern = NEW.with(6, b"feed:version-end");
/// A coupon that may still be as it was before a change in the feed.
pub(super) const SEEN_SERIAL: StatementPattern =
    StatementPattern::of(&["SELECT version, state, sealed, events, made"])
        .sent(StatementProfile::Serial);

// The records beside coupons.

/// Rows of records; their kind is the value number 3.
const PUT: StatementPattern = StatementPattern::of(&["UPDATE record USING TIMESTAMP"]);
pub(super) const ADD: StatementPattern =
    StatementPattern::of(&["UPDATE record USING TTL"]).with(3, b"activity");
pub(super) const BEGIN_ORDER: StatementPattern = PUT.with(3, b"order_begun");
/// Every update of a campaign.
pub(super) const AUDIT_EVENTS: StatementPattern =
    StatementPattern::of(&["UPDATE campaign SET revision = ?, carries = ?"]);
pub(super) const ENTER_AUDIT_EVENTS: StatementPattern = PUT.with(3, b"audit_campaign");
pub(super) const INDEX_AUDIT_EVENTS: StatementPattern = PUT.with(3, b"audit_entry");
pub(super) const LIST_HOUR: StatementPattern = PUT.with(3, b"redeemed_hour");
pub(super) const LIST_REDEMPTION: StatementPattern = PUT.with(3, b"redemption");
pub(super) const TELL_AUDIT_EVENTS: StatementPattern =
    StatementPattern::of(&["UPDATE change USING TTL ? SET kind = ?"]);

// Partitions.

pub(super) const PLAN: StatementPattern = StatementPattern::of(&[
    "SELECT expiry_day, bucket_bits, seal_after",
    "FROM partition_plan WHERE",
]);
pub(super) const PLAN_READ: StatementPattern = PLAN.sent(StatementProfile::Read);
pub(super) const PLAN_SERIAL: StatementPattern = PLAN.sent(StatementProfile::Serial);
pub(super) const MAKE_PLAN: StatementPattern =
    StatementPattern::of(&["UPDATE partition_plan SET bucket_bits = ?", "IF bucket_bits = null"]);
pub(super) const RAISE: StatementPattern =
    StatementPattern::of(&["UPDATE partition_plan SET seal_after = ?, entered = entered + ?"]);
pub(super) const CLOSE: StatementPattern =
    StatementPattern::of(&["UPDATE partition_plan SET closing = true", "AND entered = ?"]);

// Claims.

pub(super) const ENTER_CLAIM: StatementPattern =
    StatementPattern::of(&["UPDATE claim SET revision = ?, claimed[?] = ?"]);
pub(super) const CHOOSE: StatementPattern =
    StatementPattern::of(&["UPDATE claim SET revision = ?, chosen[?] = ?"]);
pub(super) const CLAIM_READ: StatementPattern =
    StatementPattern::of(&["SELECT revision, claimed, chosen FROM claim"])
        .sent(StatementProfile::Read);
pub(super) const WIN_REPLACEMENT: StatementPattern = StatementPattern::of(&[
    "INSERT INTO replacement (replaced, campaign_id, user_id",
    "IF NOT EXISTS",
]);
pub(super) const REPLACEMENT: StatementPattern =
    StatementPattern::of(&["SELECT campaign_id, user_id, reference, issue FROM replacement WHERE"]);

// Erasures.

/// The list of those who are being erased.
pub(super) const ERASING: StatementPattern = SETTING.with(0, b"erasing");
pub(super) const END_CLAIM: StatementPattern =
    StatementPattern::of(&["DELETE FROM claim WHERE campaign_id = ?", "IF revision = ?"]);
pub(super) const MOVE_CLAIM: StatementPattern =
    StatementPattern::of(&["UPDATE claim USING TIMESTAMP ? SET revision = ?, claimed[?] = ?"]);
/// A coupon takes a version without an event and without a hold: a call had begun to give it to somebody.
pub(super) const OVERTAKE: [StatementPattern; 2] =
    [NEW.with(1, b"available").unset(&[4, 5]), LATER.with(1, b"available").unset(&[4, 5])];
pub(super) const RENAME_FEED: StatementPattern =
    StatementPattern::of(&["UPDATE change USING TTL :left_s SET actor = ?"]);
pub(super) const RENAME_REPLACEMENT: StatementPattern =
    StatementPattern::of(&["UPDATE replacement SET user_id = ?"]);
pub(super) const RENAME_LINE: StatementPattern =
    StatementPattern::of(&["UPDATE directory SET first_imported_state = ?"]);
pub(super) const FORGET_LOGIN: StatementPattern =
    StatementPattern::of(&["DELETE FROM account_login USING TIMESTAMP ?"]);
pub(super) const FORGET_INDEX_ROW: StatementPattern =
    StatementPattern::of(&["DELETE FROM wallet USING TIMESTAMP ?"]);

// Stock.

pub(super) const OWN: StatementPattern =
    StatementPattern::of(&["UPDATE lease USING TTL ? SET owner = ?", "IF owner = ? AND count = ?"]);
pub(super) const CURSOR: StatementPattern =
    StatementPattern::of(&["UPDATE lease SET cursor = ?, count = ?"]);
pub(super) const RELEASE: StatementPattern =
    StatementPattern::of(&["UPDATE lease SET owner = null"]);
pub(super) const END_LEASE: StatementPattern =
    StatementPattern::of(&["DELETE FROM lease WHERE campaign_id = ?"]);
pub(super) const RETURNED: StatementPattern =
    StatementPattern::of(&["INSERT INTO returned"]).without(&["USING"]);
pub(super) const RETURNS: StatementPattern =
    StatementPattern::of(&["SELECT version, code FROM returned"]);
pub(super) const RUN: StatementPattern = StatementPattern::of(&[
    "UPDATE minted_run SET next_serial = ?, count = ?",
    "IF next_serial = ?",
]);
/// All runs of a day.
pub(super) const RUNS: StatementPattern =
    StatementPattern::of(&["SELECT first, next_serial, count", "FROM minted_run"])
        .without(&[" LIMIT "]);
/// The run of a serial.
pub(super) const RANGE: StatementPattern = StatementPattern::of(&[
    "SELECT first, next_serial, count",
    "FROM minted_run",
    " AND first <= ?",
]);

// The directory and the index rows.

pub(super) const POINT: StatementPattern =
    StatementPattern::of(&["UPDATE directory SET kind = 'coupon'", "IF expiry_day = ?"]);
pub(super) const WIN: StatementPattern = StatementPattern::of(&[
    "INSERT INTO directory (code, kind, campaign_id, batch_id",
    "IF NOT EXISTS",
]);
pub(super) const WALLET: StatementPattern = StatementPattern::of(&["INSERT INTO wallet"]);
pub(super) const EXPIRING: StatementPattern = StatementPattern::of(&["INSERT INTO expiring"]);
pub(super) const CLOSED: StatementPattern = StatementPattern::of(&["INSERT INTO closed"]);

// The store.

pub(super) const COLD_MARK: StatementPattern =
    StatementPattern::of(&["UPDATE setting SET value = ? WHERE name = ? IF value = ?"])
        .with(1, b"cold_");
pub(super) const SETTING: StatementPattern =
    StatementPattern::of(&["SELECT value FROM setting WHERE name = ?"]);
pub(super) const PLAIN_WRITE: StatementPattern =
    StatementPattern::of(&[]).without(&["SELECT ", " IF "]);

/// The text of [`IS_SEALED`], for a plant that sends it by itself.
pub(super) const READ_SEAL: &str =
    "SELECT sealed FROM coupon WHERE expiry_day = ? AND bucket = ? LIMIT 1";

/// That of [`END_LEASE`].
pub(super) const DELETE_LEASE: &str = "DELETE FROM lease WHERE campaign_id = ? AND batch_id = ? \
                                       AND kind = ? AND first = ? AND name = ?";
