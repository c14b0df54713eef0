//! The names of the statements that write. The first row that fits a request names it.

use super::Step;

pub(super) const STEPS: &[Step] = &[
    // Claims.
    Step::of("claim: entry is written", "UPDATE claim SET revision = ?, claimed"),
    Step::of("claim: choice is written", "UPDATE claim SET revision = ?, chosen"),
    Step::of("replacement: is won", "INSERT INTO replacement").has(&["IF NOT EXISTS"]),
    // Coupons.
    Step::of("feed: version without a row is ended", CHANGE)
        .has(&["IF version = null"])
        .with(6, "feed:version-end"),
    Step::of("feed: version is ended", CHANGE)
        .has(&["IF version = :before"])
        .with(6, "feed:version-end"),
    Step::of("coupon: first row forwards", CHANGE)
        .has(&["IF version = null"])
        .with(1, "forwarding"),
    Step::of("coupon: row forwards", CHANGE).has(&["IF version = :before"]).with(1, "forwarding"),
    Step::of("coupon: row is made", CHANGE).has(&["IF version = null"]),
    Step::of("coupon: row is changed", CHANGE).has(&["IF version = :before"]),
    Step::of("coupon: row is imported", "UPDATE coupon USING TIMESTAMP :written"),
    Step::of("coupon: is evicted", "UPDATE coupon SET version = ?, state = 'archived'")
        .has(&["AND sealed = null"]),
    Step::of("directory: entry is won", "INSERT INTO directory (code, kind, campaign_id, batch_id")
        .has(&["IF NOT EXISTS"]),
    Step::of("directory: entry points to a later day", "UPDATE directory SET kind = 'coupon'"),
    Step::of("directory: imported state is raised", "UPDATE directory SET imported_state"),
    // Index rows.
    Step::of("wallet: index row is written", "INSERT INTO wallet"),
    Step::of("wallet: index row is deleted", "DELETE FROM wallet WHERE"),
    Step::of("expiring: day of the campaign is written", "INSERT INTO campaign_day"),
    Step::of("expiring: rows are counted", "UPDATE partition_plan SET expiring_rows"),
    Step::of("expiring: index row is written", "INSERT INTO expiring"),
    Step::of("expiring: index row is deleted", "DELETE FROM expiring WHERE"),
    // The queue of closed coupons.
    Step::of("queue: rows are counted", "UPDATE partition_plan SET closed_rows"),
    Step::of("queue: closed coupon is queued", "INSERT INTO closed"),
    Step::of("queue: end of what is done is set", "UPDATE closed SET done_until"),
    Step::of("queue: is deleted", "DELETE FROM closed"),
    // Stock.
    Step::of("stock: run is leased", "UPDATE lease SET cursor = ?, count = ?"),
    Step::of("stock: lease is owned", OWNER).has(&["IF owner = null"]),
    Step::of("stock: lease is renewed", OWNER).has(&["IF owner = ?"]),
    Step::of("stock: lease is given back", "UPDATE lease SET owner = null"),
    Step::of("stock: lease is ended", "DELETE FROM lease"),
    Step::of("stock: code of a chunk is written", "INSERT INTO stock"),
    Step::of("stock: chunk is entered", "INSERT INTO lease").lacks(&["USING"]),
    Step::of("stock: returned rows are counted", "UPDATE lease SET returned_rows"),
    Step::of("stock: returned coupon is entered", "INSERT INTO returned").lacks(&["USING"]),
    Step::of("stock: returned coupon is dropped", "DELETE FROM returned"),
    // The feed.
    Step::of("feed: run of slots is listed", "UPDATE change_span"),
    Step::of("feed: change is announced", "UPDATE change USING TTL :ttl"),
    Step::of("feed: audit event is announced", "UPDATE change USING TTL ? SET kind"),
    Step::of("feed: slot is marked", "INSERT INTO feed_progress"),
    Step::of("feed: is begun", "UPDATE feed SET epoch = ?, began"),
    // Campaigns and batches.
    Step::of("campaign: name is listed", "INSERT INTO campaign_name (part, campaign_id) VALUES (?"),
    Step::of("campaign: is begun", "UPDATE campaign SET revision = ?, made = ?"),
    Step::of("campaign: shared code is taken", "INSERT INTO directory (code, kind, campaign_id)")
        .has(&["IF NOT EXISTS"]),
    Step::of("campaign: is given up", "UPDATE campaign SET revision = null"),
    Step::of("campaign: is made", "UPDATE campaign SET revision = ?, carries = ?, made = true"),
    Step::of("campaign: terms are changed", "UPDATE campaign SET revision = ?, carries = ?, name"),
    Step::of("batch: key is recorded", "INSERT INTO key_in_use"),
    Step::of("batch: serials are reserved", "UPDATE minted_run SET next_serial = ?, count"),
    Step::of(
        "batch: row is written",
        "UPDATE campaign SET revision = ?, carries = ?, number = ?, key_id",
    ),
    Step::of(
        "batch: is paused or resumed",
        "UPDATE campaign SET revision = ?, carries = ?, batch_paused",
    ),
    Step::of("batch: import is counted", "UPDATE campaign SET revision = ?, carries = ?, lines"),
    Step::of("campaign: stock is noted", "UPDATE campaign SET revision = ?, carries = ?, sold_out"),
    Step::of("feed: revision is ended", "UPDATE campaign SET revision = ?, carries = ? WHERE"),
    // The records beside coupons.
    Step::of("audit: day is listed", PUT).with(3, "audit_day"),
    Step::of("audit: audit event is announced", PUT).with(3, "audit_entry"),
    Step::of("audit: audit event is entered", PUT).with(3, "audit_campaign"),
    Step::of("counting: sum is written", REPLACE).with(3, "activity"),
    Step::of("counting: place is moved", REPLACE).with(3, "counted"),
    Step::of("redemption: order is entered", PUT).with(3, "order"),
    Step::of("redemption: hour is listed", PUT).with(3, "redeemed_hour"),
    Step::of("redemption: is listed", PUT).with(3, "redemption"),
    Step::of("record: is put", PUT),
    Step::of("record: is replaced", REPLACE),
    Step::of("record: some are dropped", "DELETE FROM record").has(&["key < ?"]),
    Step::of("record: a partition is dropped", "DELETE FROM record").lacks(&["key < ?"]),
    Step::of("counts: states are written", "INSERT INTO campaign_counts").has(&["issued"]),
    Step::of("counts: arrivals are written", "INSERT INTO campaign_counts").has(&["arrived"]),
    // Imports.
    Step::of("import: rejected line is kept", "INSERT INTO rejected_line"),
    Step::of("import: rejected line is deleted", "DELETE FROM rejected_line").has(&["line = ?"]),
    Step::of("import: earlier rejected lines are deleted", "DELETE FROM rejected_line")
        .lacks(&["line = ?"]),
    // Partitions.
    Step::of("plan: is made", "UPDATE partition_plan SET bucket_bits"),
    Step::of("plan: is entered", "UPDATE partition_plan SET seal_after"),
    Step::of("plan: is closing", "UPDATE partition_plan SET closing"),
    Step::of("plan: is sealed", "UPDATE partition_plan SET sealed"),
    Step::of("plan: end of its coupons is noted", "UPDATE partition_plan SET archived_at"),
    Step::of("plan: archive commit is finished", "UPDATE partition_plan SET archive_commit"),
    Step::of("bucket: is sealed", "UPDATE coupon SET sealed"),
    Step::of("bucket: some rows are deleted", DELETE).has(&["code > ? AND code <= ?"]),
    Step::of("bucket: rows are deleted", DELETE).has(&["code > ?"]).lacks(&["code <= ?"]),
    // Settings.
    Step::of("cold mark: commit is announced", SETTING).with(1, "cold_begun"),
    Step::of("cold mark: commit is recorded", SETTING).with(1, "cold_committed"),
    Step::of("restore: floor of serials is raised", SETTING).with(1, "serial_floor"),
    Step::of("setting: is changed", SETTING),
    Step::of("setting: is changed with an entry", "UPDATE setting SET value = ?, carries"),
    Step::of("setting: its entry is entered", "UPDATE setting SET carries = null"),
    Step::of("import: long codes are announced", "INSERT INTO setting").with(0, "long_codes"),
    Step::of("setting: is written", "INSERT INTO setting"),
    // Accounts.
    Step::of("account: login is recorded", "INSERT INTO account_login"),
    Step::of("account: is made", "INSERT INTO account (").has(&["IF NOT EXISTS"]),
    Step::of("account: is deleted", "DELETE FROM account WHERE"),
    // A restore, which also makes steps of the others.
    Step::of("restore: serials are skipped", "UPDATE minted_run SET next_serial = ? WHERE"),
    Step::of("restore: epoch of the feed is begun", "UPDATE feed SET epoch = ?, epochs_before"),
    Step::of("restore: row forwards", "UPDATE coupon SET version = ?, state = 'forwarding'"),
    Step::of("restore: row becomes a marker", "UPDATE coupon SET version = ?, state = 'archived'")
        .lacks(&["AND sealed = null"]),
    Step::of("restore: unknown code is taken", "INSERT INTO directory (code, kind) VALUES")
        .has(&["IF NOT EXISTS"]),
    // A copy, which also makes steps of the others. Its writes have write times of long ago.
    Step::of("copy: replacement", "INSERT INTO replacement").has(&["USING TIMESTAMP"]),
    Step::of("copy: replacement is deleted", "DELETE FROM replacement"),
    Step::of("copy: account", "INSERT INTO account (").has(&["USING TIMESTAMP"]),
    Step::of("copy: account is deleted", "DELETE FROM account USING"),
    Step::of("copy: claim", "UPDATE claim USING TIMESTAMP"),
    Step::of("copy: marker over a row", MARKER).has(&["holder = null"]),
    Step::of("copy: marker", MARKER).lacks(&["holder = null"]),
    Step::of("copy: gone code", "INSERT INTO directory (code, kind) VALUES")
        .has(&["USING TIMESTAMP"]),
    Step::of("copy: shared code", "INSERT INTO directory (code, kind, campaign_id)")
        .has(&["USING TIMESTAMP"]),
    Step::of("copy: entry", COPIED_ENTRY).has(&["USING TIMESTAMP"]),
    Step::of("copy: index row of a wallet is deleted", "DELETE FROM wallet USING"),
    Step::of("copy: index row by expiry is deleted", "DELETE FROM expiring USING"),
    Step::of("copy: returned coupon", "INSERT INTO returned").has(&["USING TIMESTAMP"]),
    Step::of("copy: chunk", "INSERT INTO lease").has(&["USING TIMESTAMP"]),
    Step::of("copy: cursor of a run", "UPDATE lease USING TIMESTAMP"),
    Step::of("copy: run", "INSERT INTO minted_run"),
    Step::of("copy: next serial", "UPDATE minted_run USING TIMESTAMP"),
    Step::of("copy: batch", "UPDATE campaign SET revision = ?, number"),
    Step::of("copy: plan", "UPDATE partition_plan USING TIMESTAMP ? SET bucket_bits"),
    Step::of("copy: time of a seal", "UPDATE partition_plan USING TIMESTAMP ? SET seal_after"),
    Step::of("copy: plan is closing", "UPDATE partition_plan USING TIMESTAMP ? SET closing"),
    Step::of("copy: seal of a bucket", "UPDATE coupon USING TIMESTAMP ? SET sealed"),
    Step::of("copy: rows of a bucket are deleted", DELETE).has(&["code >= ''"]),
    Step::of("copy: plan is sealed", "UPDATE partition_plan USING TIMESTAMP ? SET sealed"),
    Step::of(
        "copy: archive commit of a plan",
        "UPDATE partition_plan USING TIMESTAMP ? SET archive_commit",
    ),
    Step::of("copy: plan is emptied", "UPDATE partition_plan USING TIMESTAMP ? SET emptied"),
];

/// A change of a coupon, by its condition the first one or a later one.
const CHANGE: &str = "UPDATE coupon SET version = ?, state = ?";

/// Rows of records; their kind is the value number 3.
const PUT: &str = "UPDATE record USING TIMESTAMP";

const REPLACE: &str = "UPDATE record USING TTL";

const OWNER: &str = "UPDATE lease USING TTL ? SET owner = ?";

const DELETE: &str = "DELETE FROM coupon USING TIMESTAMP ?";

const SETTING: &str = "UPDATE setting SET value = ? WHERE";

const MARKER: &str = "UPDATE coupon USING TIMESTAMP ? SET version = ?, state = 'archived'";

const COPIED_ENTRY: &str = "INSERT INTO directory (code, kind, campaign_id, batch_id";
