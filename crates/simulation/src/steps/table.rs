//! The names of the statements that write. The first row that fits a request names it.

use super::StepRow;

pub(super) const STEPS: &[StepRow] = &[
    // Claims.
    StepRow::of("claim: entry is written", "UPDATE claim SET revision = ?, claimed"),
    StepRow::of("claim: choice is written", "UPDATE claim SET revision = ?, chosen"),
    StepRow::of("replacement: is won", "INSERT INTO replacement").has(&["IF NOT EXISTS"]),
    // Coupons.
    StepRow::of("feed: version without a row is ended", CHANGE)
        .has(&["IF version = null"])
        .with(6, "feed:version-end"),
    StepRow::of("feed: version is ended", CHANGE)
        .has(&["IF version = :before"])
        .with(6, "feed:version-end"),
    StepRow::of("coupon: first row forwards", CHANGE)
        .has(&["IF version = null"])
        .with(1, "forwarding"),
    StepRow::of("coupon: row forwards", CHANGE)
        .has(&["IF version = :before"])
        .with(1, "forwarding"),
    StepRow::of("coupon: row is made", CHANGE).has(&["IF version = null"]),
    StepRow::of("coupon: row is changed", CHANGE).has(&["IF version = :before"]),
    StepRow::of("coupon: row is imported", "UPDATE coupon USING TIMESTAMP :written"),
    StepRow::of("coupon: is evicted", "UPDATE coupon SET version = ?, state = 'archived'")
        .has(&["made = null"]),
    StepRow::of(
        "directory: entry is won",
        "INSERT INTO directory (code, kind, campaign_id, batch_id",
    )
    .has(&["IF NOT EXISTS"]),
    StepRow::of("directory: entry points to a later day", "UPDATE directory SET kind = 'coupon'"),
    StepRow::of("directory: imported state is raised", "UPDATE directory SET imported_state"),
    // Index rows.
    StepRow::of("wallet: index row is written", "INSERT INTO wallet"),
    StepRow::of("wallet: index row is deleted", "DELETE FROM wallet WHERE"),
    StepRow::of("expiring: day of the campaign is written", "INSERT INTO campaign_day"),
    StepRow::of("expiring: rows are counted", "UPDATE partition_plan SET expiring_rows"),
    StepRow::of("expiring: index row is written", "INSERT INTO expiring"),
    StepRow::of("expiring: index row is deleted", "DELETE FROM expiring WHERE"),
    // The queue of closed coupons.
    StepRow::of("queue: rows are counted", "UPDATE partition_plan SET closed_rows"),
    StepRow::of("queue: closed coupon is queued", "INSERT INTO closed"),
    StepRow::of("queue: end of what is done is set", "UPDATE closed SET done_until"),
    StepRow::of("queue: is deleted", "DELETE FROM closed"),
    // Stock.
    StepRow::of("stock: run is leased", "UPDATE lease SET cursor = ?, count = ?"),
    StepRow::of("stock: lease is owned", OWNER).has(&["IF owner = ? AND count = ?"]),
    StepRow::of("stock: lease is renewed", OWNER).has(&["IF owner = ?"]).lacks(&["AND count = ?"]),
    StepRow::of("stock: lease is given back", "UPDATE lease SET owner = null"),
    StepRow::of("stock: lease is ended", "DELETE FROM lease"),
    StepRow::of("stock: code of a chunk is written", "INSERT INTO stock"),
    StepRow::of("stock: chunk is entered", "INSERT INTO lease").lacks(&["USING"]),
    StepRow::of("stock: returned rows are counted", "UPDATE lease SET returned_rows"),
    StepRow::of("stock: returned coupon is entered", "INSERT INTO returned").lacks(&["USING"]),
    StepRow::of("stock: returned coupon is dropped", "DELETE FROM returned"),
    // The feed.
    StepRow::of("feed: run of slots is listed", "UPDATE change_span"),
    StepRow::of("feed: what was unread is taken off its list", "DELETE FROM change_span"),
    StepRow::of("feed: change is announced", "UPDATE change USING TTL :ttl"),
    StepRow::of("feed: change is refused", "UPDATE change USING TTL ? SET refused"),
    StepRow::of("feed: audit event is announced", "UPDATE change USING TTL ? SET kind"),
    StepRow::of("feed: slot is marked", "INSERT INTO feed_progress"),
    StepRow::of("feed: slots follow a mark", "UPDATE feed SET ahead"),
    StepRow::of("feed: is begun", "UPDATE feed SET epoch = ?, began"),
    // Campaigns and batches.
    StepRow::of(
        "campaign: name is listed",
        "INSERT INTO campaign_name (part, campaign_id) VALUES (?",
    ),
    StepRow::of("campaign: is begun", "UPDATE campaign SET revision = ?, made = ?"),
    StepRow::of(
        "campaign: shared code is taken",
        "INSERT INTO directory (code, kind, campaign_id)",
    )
    .has(&["IF NOT EXISTS"]),
    StepRow::of("campaign: is given up", "UPDATE campaign SET revision = null"),
    StepRow::of("campaign: is made", "UPDATE campaign SET revision = ?, carries = ?, made = true"),
    StepRow::of(
        "campaign: terms are changed",
        "UPDATE campaign SET revision = ?, carries = ?, name",
    ),
    StepRow::of("batch: key is recorded", "INSERT INTO key_in_use"),
    StepRow::of("batch: serials are reserved", "UPDATE minted_run SET next_serial = ?, count"),
    StepRow::of(
        "batch: row is written",
        "UPDATE campaign SET revision = ?, carries = ?, number = ?, key_id",
    ),
    StepRow::of(
        "batch: is paused or resumed",
        "UPDATE campaign SET revision = ?, carries = ?, batch_paused",
    ),
    StepRow::of("batch: import is counted", "UPDATE campaign SET revision = ?, carries = ?, lines"),
    StepRow::of(
        "campaign: stock is noted",
        "UPDATE campaign SET revision = ?, carries = ?, sold_out",
    ),
    StepRow::of("feed: revision is ended", "UPDATE campaign SET revision = ?, carries = ? WHERE"),
    // The records beside coupons.
    StepRow::of("audit: day is listed", PUT).with(3, "audit_day"),
    StepRow::of("audit: audit event is announced", PUT).with(3, "audit_entry"),
    StepRow::of("audit: audit event is entered", PUT).with(3, "audit_campaign"),
    StepRow::of("counting: sum is written", REPLACE).with(3, "activity"),
    StepRow::of("counting: place is moved", REPLACE).with(3, "counted"),
    StepRow::of("redemption: order is entered", PUT).with(3, "order"),
    StepRow::of("order: is begun", PUT).with(3, "order_begun"),
    StepRow::of("redemption: hour is listed", PUT).with(3, "redeemed_hour"),
    StepRow::of("redemption: is listed", PUT).with(3, "redemption"),
    StepRow::of("record: is put", PUT),
    StepRow::of("record: is replaced", REPLACE),
    StepRow::of("record: some are dropped", "DELETE FROM record").has(&["key < ?"]),
    StepRow::of("record: a partition is dropped", "DELETE FROM record").lacks(&["key < ?"]),
    StepRow::of("counts: states are written", "INSERT INTO campaign_counts").has(&["issued"]),
    StepRow::of("counts: arrivals are written", "INSERT INTO campaign_counts").has(&["arrived"]),
    StepRow::of("counts: rows are merged", "UPDATE campaign_counts SET merged"),
    StepRow::of("counts: merged row is deleted", "DELETE FROM campaign_counts"),
    // Partitions.
    StepRow::of("plan: is made", "UPDATE partition_plan SET bucket_bits"),
    StepRow::of("plan: is entered", "UPDATE partition_plan SET seal_after"),
    StepRow::of("plan: is closing", "UPDATE partition_plan SET closing"),
    StepRow::of("plan: is sealed", "UPDATE partition_plan SET sealed"),
    StepRow::of("plan: end of its coupons is noted", "UPDATE partition_plan SET archived_at"),
    StepRow::of("plan: archive commit is finished", "UPDATE partition_plan SET archive_commit"),
    StepRow::of("bucket: is sealed", "UPDATE coupon SET sealed"),
    StepRow::of("bucket: some rows are deleted", DELETE).has(&["code > ? AND code <= ?"]),
    StepRow::of("bucket: rows are deleted", DELETE).has(&["code > ?"]).lacks(&["code <= ?"]),
    // Persons who are erased, which also makes steps of the others.
    StepRow::of("erasure: claim is deleted", "DELETE FROM claim"),
    StepRow::of("erasure: replacement gets the name", "UPDATE replacement SET user_id"),
    StepRow::of("erasure: line gets the name", "UPDATE directory SET first_imported_state"),
    StepRow::of("erasure: index row of the feed gets the name", "UPDATE change USING TTL :left_s"),
    StepRow::of("erasure: login is deleted", "DELETE FROM account_login"),
    // Settings.
    StepRow::of("cold mark: commit is announced", SETTING).with(1, "cold_begun"),
    StepRow::of("cold mark: commit is recorded", SETTING).with(1, "cold_committed"),
    StepRow::of("restore: floor of serials is raised", SETTING).with(1, "serial_floor"),
    StepRow::of("setting: is changed", SETTING),
    StepRow::of("setting: is changed with an entry", "UPDATE setting SET value = ?, carries"),
    StepRow::of("setting: its entry is entered", "UPDATE setting SET carries = null"),
    StepRow::of("import: long codes are announced", "INSERT INTO setting").with(0, "long_codes"),
    StepRow::of("setting: is written", "INSERT INTO setting"),
    // Accounts.
    StepRow::of("account: login is recorded", "INSERT INTO account_login"),
    StepRow::of("account: is made", "INSERT INTO account (").has(&["IF NOT EXISTS"]),
    StepRow::of("account: is deleted", "DELETE FROM account WHERE"),
    // A restore, which also makes steps of the others.
    StepRow::of("restore: serials are skipped", "UPDATE minted_run SET next_serial = ? WHERE"),
    StepRow::of("restore: epoch of the feed is begun", "UPDATE feed SET epoch = ?, epochs_before"),
    StepRow::of("restore: row forwards", "UPDATE coupon SET version = ?, state = 'forwarding'"),
    StepRow::of(
        "restore: row becomes a marker",
        "UPDATE coupon SET version = ?, state = 'archived'",
    )
    .has(&["forward_to = null"]),
    StepRow::of("restore: unknown code is taken", "INSERT INTO directory (code, kind) VALUES")
        .has(&["IF NOT EXISTS"]),
    // A copy, which also makes steps of the others. Its writes have write times of long ago.
    StepRow::of("copy: replacement", "INSERT INTO replacement").has(&["USING TIMESTAMP"]),
    StepRow::of("copy: replacement is deleted", "DELETE FROM replacement"),
    StepRow::of("copy: account", "INSERT INTO account (").has(&["USING TIMESTAMP"]),
    StepRow::of("copy: account is deleted", "DELETE FROM account USING"),
    StepRow::of("copy or erasure: entry of a claim", "UPDATE claim USING TIMESTAMP"),
    StepRow::of("copy: marker over a row", MARKER).has(&["holder = null"]),
    StepRow::of("copy: marker", MARKER).lacks(&["holder = null"]),
    StepRow::of("copy: gone code", "INSERT INTO directory (code, kind) VALUES")
        .has(&["USING TIMESTAMP"]),
    StepRow::of("copy: shared code", "INSERT INTO directory (code, kind, campaign_id)")
        .has(&["USING TIMESTAMP"]),
    StepRow::of("copy: entry", COPIED_ENTRY).has(&["USING TIMESTAMP"]),
    StepRow::of("copy or erasure: index row of a wallet is deleted", "DELETE FROM wallet USING"),
    StepRow::of("copy: index row by expiry is deleted", "DELETE FROM expiring USING"),
    StepRow::of("copy: returned coupon", "INSERT INTO returned").has(&["USING TIMESTAMP"]),
    StepRow::of("copy: chunk", "INSERT INTO lease").has(&["USING TIMESTAMP"]),
    StepRow::of("copy: cursor of a run", "UPDATE lease USING TIMESTAMP"),
    StepRow::of("copy: run", "INSERT INTO minted_run"),
    StepRow::of("copy: next serial", "UPDATE minted_run USING TIMESTAMP"),
    StepRow::of("copy: batch", "UPDATE campaign SET revision = ?, number"),
    StepRow::of("copy: plan", "UPDATE partition_plan USING TIMESTAMP ? SET bucket_bits"),
    StepRow::of("copy: time of a seal", "UPDATE partition_plan USING TIMESTAMP ? SET seal_after"),
    StepRow::of("copy: plan is closing", "UPDATE partition_plan USING TIMESTAMP ? SET closing"),
    StepRow::of("copy: seal of a bucket", "UPDATE coupon USING TIMESTAMP ? SET sealed"),
    StepRow::of("copy: rows of a bucket are deleted", DELETE).has(&["code >= ''"]),
    StepRow::of("copy: plan is sealed", "UPDATE partition_plan USING TIMESTAMP ? SET sealed"),
    StepRow::of(
        "copy: archive commit of a plan",
        "UPDATE partition_plan USING TIMESTAMP ? SET archive_commit",
    ),
    StepRow::of("copy: plan is emptied", "UPDATE partition_plan USING TIMESTAMP ? SET emptied"),
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
