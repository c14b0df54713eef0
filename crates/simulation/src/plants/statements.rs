//! Which statements a plant is about: by parts of their texts, which a unit test looks for in the
//! sources of the store.

use cql_session::{BoundValue, StatementProfile, StatementRequest};

/// Some statements.
#[derive(Clone, Copy)]
pub(super) struct Which {
    /// All of these are in the text.
    parts: &'static [&'static str],
    /// None of these is.
    without: &'static [&'static str],
    profile: Option<StatementProfile>,
    /// The value of this number begins so.
    value: Option<(usize, &'static [u8])>,
}

impl Which {
    pub(super) const fn of(parts: &'static [&'static str]) -> Which {
        Which { parts, without: &[], profile: None, value: None }
    }

    const fn without(self, without: &'static [&'static str]) -> Which {
        Which { without, ..self }
    }

    const fn sent(self, profile: StatementProfile) -> Which {
        Which { profile: Some(profile), ..self }
    }

    const fn with(self, number: usize, begins: &'static [u8]) -> Which {
        Which { value: Some((number, begins)), ..self }
    }

    /// Whether a text is one of them.
    pub(super) fn has_text(&self, cql: &str) -> bool {
        let has = |part: &&str| cql.contains(*part);
        self.parts.iter().all(has) && !self.without.iter().any(has)
    }

    pub(super) fn has(&self, request: &StatementRequest) -> bool {
        let is_value = |(number, begins): (usize, &[u8])| {
            let value = request.rows.first().and_then(|row| row.get(number));
            matches!(value, Some(BoundValue::Value(bytes)) if bytes.starts_with(begins))
        };
        self.has_text(request.cql)
            && self.profile.is_none_or(|profile| profile == request.profile)
            && self.value.is_none_or(is_value)
    }
}

// Coupons.

/// A change of a coupon that has a row.
pub(super) const LATER: Which =
    Which::of(&["UPDATE coupon SET version = ?, state = ?", "IF version = :before AND sealed"]);
/// The first row of a coupon.
pub(super) const NEW: Which =
    Which::of(&["UPDATE coupon SET version = ?, state = ?", "IF version = null AND sealed"]);
/// The row of an import or of a copy.
pub(super) const PLAIN: Which = Which::of(&["UPDATE coupon USING TIMESTAMP :written SET version"]);
pub(super) const ROW: Which =
    Which::of(&["SELECT expiry_day, bucket, code, sealed, version", " bucket = ? AND code = ?"]);
pub(super) const ROW_SERIAL: Which = ROW.sent(StatementProfile::Serial);
/// The rows of a bucket that was sealed, whose moves are finished then.
pub(super) const BUCKET: Which =
    Which::of(&["SELECT expiry_day, bucket, code, sealed, version", " AND code >= ''"]);
pub(super) const IS_SEALED: Which =
    Which::of(&["SELECT sealed FROM coupon WHERE expiry_day = ? AND bucket = ? LIMIT 1"]);
pub(super) const SEAL: Which = Which::of(&["UPDATE coupon SET sealed = true", "IF sealed = null"]);
pub(super) const SEAL_OF_BUCKET_0: Which = SEAL.with(1, &[0, 0, 0, 0]);
pub(super) const EVICT: Which =
    Which::of(&["UPDATE coupon SET version = ?, state = 'archived'", "AND sealed = null"]);
pub(super) const EMPTY: Which =
    Which::of(&["DELETE FROM coupon USING TIMESTAMP ?", " AND code > ?"]);

// The feed.

pub(super) const ANNOUNCE: Which = Which::of(&["UPDATE change USING TTL"]);
pub(super) const ENTER_SPAN: Which = Which::of(&["UPDATE change_span USING TTL"]);
pub(super) const MARK: Which = Which::of(&["INSERT INTO feed_progress"]);
pub(super) const MARK_READ: Which = Which::of(&["SELECT slot FROM feed_progress"]);
pub(super) const EARLIER: Which =
    Which::of(&["FROM change WHERE shard = ? AND slot IN ? AND code = ?"]);
pub(super) const END_VERSION: Which = LATER.with(6, b"feed:version-end");
pub(super) const END_FIRST_VERSION: Which = NEW.with(6, b"feed:version-end");
/// A coupon that may still be as it was before a change in the feed.
pub(super) const SEEN_SERIAL: Which =
    Which::of(&["SELECT version, state, sealed, events, made"]).sent(StatementProfile::Serial);

// The records beside coupons.

/// Rows of records; their kind is the value number 3.
const PUT: Which = Which::of(&["UPDATE record USING TIMESTAMP"]);
pub(super) const ADD: Which = Which::of(&["UPDATE record USING TTL"]).with(3, b"activity");
/// Every update of a campaign.
pub(super) const AUDIT_EVENTS: Which =
    Which::of(&["UPDATE campaign SET revision = ?, carries = ?"]);
pub(super) const ENTER_AUDIT_EVENTS: Which = PUT.with(3, b"audit_campaign");
pub(super) const INDEX_AUDIT_EVENTS: Which = PUT.with(3, b"audit_entry");
pub(super) const LIST_HOUR: Which = PUT.with(3, b"redeemed_hour");
pub(super) const LIST_REDEMPTION: Which = PUT.with(3, b"redemption");
pub(super) const TELL_AUDIT_EVENTS: Which = Which::of(&["UPDATE change USING TTL ? SET kind = ?"]);

// Partitions.

pub(super) const PLAN: Which =
    Which::of(&["SELECT expiry_day, bucket_bits, seal_after", "FROM partition_plan WHERE"]);
pub(super) const PLAN_READ: Which = PLAN.sent(StatementProfile::Read);
pub(super) const PLAN_SERIAL: Which = PLAN.sent(StatementProfile::Serial);
pub(super) const MAKE_PLAN: Which =
    Which::of(&["UPDATE partition_plan SET bucket_bits = ?", "IF bucket_bits = null"]);
pub(super) const RAISE: Which =
    Which::of(&["UPDATE partition_plan SET seal_after = ?, entered = entered + ?"]);
pub(super) const CLOSE: Which =
    Which::of(&["UPDATE partition_plan SET closing = true", "AND entered = ?"]);

// Claims.

pub(super) const ENTER_CLAIM: Which = Which::of(&["UPDATE claim SET revision = ?, claimed[?] = ?"]);
pub(super) const CHOOSE: Which = Which::of(&["UPDATE claim SET revision = ?, chosen[?] = ?"]);
pub(super) const CLAIM_READ: Which =
    Which::of(&["SELECT revision, claimed, chosen FROM claim"]).sent(StatementProfile::Read);
pub(super) const WIN_REPLACEMENT: Which =
    Which::of(&["INSERT INTO replacement (replaced, campaign_id, user_id", "IF NOT EXISTS"]);
pub(super) const REPLACEMENT: Which =
    Which::of(&["SELECT campaign_id, user_id, reference, issue FROM replacement WHERE"]);

// Stock.

pub(super) const OWN: Which =
    Which::of(&["UPDATE lease USING TTL ? SET owner = ?", "IF owner = null AND count = ?"]);
pub(super) const CURSOR: Which = Which::of(&["UPDATE lease SET cursor = ?, count = ?"]);
pub(super) const RELEASE: Which = Which::of(&["UPDATE lease SET owner = null"]);
pub(super) const END_LEASE: Which = Which::of(&["DELETE FROM lease WHERE campaign_id = ?"]);
pub(super) const RETURNED: Which = Which::of(&["INSERT INTO returned"]).without(&["USING"]);
pub(super) const RETURNS: Which = Which::of(&["SELECT version, code FROM returned"]);
pub(super) const RUN: Which =
    Which::of(&["UPDATE minted_run SET next_serial = ?, count = ?", "IF next_serial = ?"]);
/// All runs of a day.
pub(super) const RUNS: Which =
    Which::of(&["SELECT first, next_serial, count", "FROM minted_run"]).without(&[" LIMIT "]);
/// The run of a serial.
pub(super) const RANGE: Which =
    Which::of(&["SELECT first, next_serial, count", "FROM minted_run", " AND first <= ?"]);

// The directory and the index rows.

pub(super) const POINT: Which =
    Which::of(&["UPDATE directory SET kind = 'coupon'", "IF expiry_day = ?"]);
pub(super) const WIN: Which =
    Which::of(&["INSERT INTO directory (code, kind, campaign_id, batch_id", "IF NOT EXISTS"]);
pub(super) const WALLET: Which = Which::of(&["INSERT INTO wallet"]);
pub(super) const EXPIRING: Which = Which::of(&["INSERT INTO expiring"]);
pub(super) const CLOSED: Which = Which::of(&["INSERT INTO closed"]);

// The store.

pub(super) const COLD_MARK: Which =
    Which::of(&["UPDATE setting SET value = ? WHERE name = ? IF value = ?"]).with(1, b"cold_");
pub(super) const SETTING: Which = Which::of(&["SELECT value FROM setting WHERE name = ?"]);
pub(super) const CLOCK: Which = Which::of(&["SELECT toTimestamp(now()) FROM system.local"]);
pub(super) const PLAIN_WRITE: Which = Which::of(&[]).without(&["SELECT ", " IF "]);

/// The text of [`IS_SEALED`], for a plant that sends it by itself.
pub(super) const READ_SEAL: &str =
    "SELECT sealed FROM coupon WHERE expiry_day = ? AND bucket = ? LIMIT 1";

/// That of [`END_LEASE`].
pub(super) const DELETE_LEASE: &str = "DELETE FROM lease WHERE campaign_id = ? AND batch_id = ? \
                                       AND kind = ? AND first = ? AND name = ?";
