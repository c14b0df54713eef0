-- The embedded hot store: one SQLite file, DATA/hot.db. The binary runs this file on a new store, and
-- a test compares it with the schema of a real store.
--
-- Instants (_at, valid_from, issue_from, issue_until, seal_after) are milliseconds since 1970 UTC.
-- Days are UTC days since 1970. A code is bare: upper case, no hyphens, no prefix.

-- Single values. `erasing NAME` is there while the user NAME is being erased: nobody gives them a coupon then.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE campaign (
    number         INTEGER PRIMARY KEY,
    campaign_id    TEXT NOT NULL UNIQUE,
    name           TEXT NOT NULL,
    handout        TEXT NOT NULL,
    shared_code    TEXT,
    code_prefix    TEXT,
    valid_from     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    -- JSON: the ends that it had before, ascending.
    earlier_ends   TEXT,
    time_zone      TEXT NOT NULL,
    valid_days     INTEGER,
    issue_from     INTEGER,
    issue_until    INTEGER,
    per_user_limit INTEGER,
    cancel_days    INTEGER NOT NULL,
    extend_days    INTEGER NOT NULL,
    paused         INTEGER NOT NULL,
    metadata       TEXT,
    -- JSON: the currency (ISO 4217), the benefit, as in "percent 10 max 5000 from 30000", its title in each language, and
    -- the budget.
    worth          TEXT,
    created_at     INTEGER NOT NULL,
    -- The request that made it, in one normal form: the same name with the same body is a replay.
    created_as     TEXT NOT NULL,
    -- Coupons in each state now. The rest of the stock is available.
    stock          INTEGER NOT NULL,
    issued         INTEGER NOT NULL,
    redeemed       INTEGER NOT NULL,
    void           INTEGER NOT NULL,
    -- What the live redemptions cost together.
    spent          INTEGER NOT NULL DEFAULT 0,
    -- How many of those are in cold and have no row here.
    cold_issued    INTEGER NOT NULL DEFAULT 0,
    cold_redeemed  INTEGER NOT NULL DEFAULT 0,
    cold_void      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE batch (
    number        INTEGER PRIMARY KEY,
    campaign      INTEGER NOT NULL REFERENCES campaign (number),
    batch_id      TEXT NOT NULL,
    -- Minted batch: a run of serials of one day under one key. Imported batch: these three are null.
    key_id        TEXT,
    expiry_day    INTEGER,
    first_serial  INTEGER,
    -- How much of the batch was offered once: serials below first_serial + next_offset, or rows up to this
    -- number within the batch. What came back is in the index coupon_available.
    next_offset   INTEGER,
    count         INTEGER NOT NULL,
    paused        INTEGER NOT NULL,
    paused_reason TEXT,
    -- The result of the last import into this batch.
    lines         INTEGER NOT NULL,
    imported      INTEGER NOT NULL,
    already_there INTEGER NOT NULL,
    rejected      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    -- What its coupons have in common: a row says what is different. Minted batch: the dates of the
    -- campaign. Imported batch: those of the first line, and null before it.
    valid_from    INTEGER,
    expires_at    INTEGER,
    -- When its coupons came to be.
    made_at       INTEGER,
    -- Whether a minted coupon of it has left its partition: only then the directory has codes of it.
    moved         INTEGER NOT NULL DEFAULT 0,
    UNIQUE (campaign, batch_id)
) STRICT;

CREATE INDEX batch_by_serial ON batch (expiry_day, first_serial) WHERE expiry_day IS NOT NULL;
CREATE INDEX batch_by_expiry ON batch (expires_at) WHERE expires_at IS NOT NULL;

-- One row for each partition, written before the first coupon of its day.
CREATE TABLE partition_plan (
    expiry_day     INTEGER PRIMARY KEY,
    -- For the router: how many bits of a code's hash are its bucket. No row in this file has a bucket.
    bucket_bits    INTEGER NOT NULL,
    -- The partition may be sealed after this instant.
    seal_after     INTEGER NOT NULL,
    closing        INTEGER NOT NULL,
    -- One counter for all campaigns, so that no two batches mint the same code.
    next_serial    INTEGER NOT NULL,
    -- Nothing in a sealed partition changes any more: a coupon without a row is looked up in cold.
    -- The seal is permanent. 2: what is archived was deleted, too, and nobody knows its coupons any more.
    sealed         INTEGER NOT NULL DEFAULT 0,
    -- The last archive commit of this partition whose rows were copied to cold and deleted here.
    archive_commit INTEGER NOT NULL DEFAULT 0,
    -- Whether the partition is sealed and all its rows are deleted.
    emptied        INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Names of those who made changes. A record has the number instead of the name.
CREATE TABLE actor (
    number INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE
) STRICT;

-- Operations of imports, in 16 bytes. A record has the number instead.
CREATE TABLE operation (
    number    INTEGER PRIMARY KEY,
    operation BLOB NOT NULL UNIQUE
) STRICT;

-- A coupon that was changed or imported. A minted code without a row is available.
CREATE TABLE coupon (
    -- The number of its batch times 2^37, plus a number within the batch: 1 for the first serial of a minted
    -- batch, or for the first coupon that was imported into it, and so on. So the rows of a batch are together, and
    -- the row of a minted code is found without an index.
    number       INTEGER PRIMARY KEY,
    batch        INTEGER GENERATED ALWAYS AS (number >> 37) VIRTUAL,
    expiry_day   INTEGER NOT NULL,
    code         TEXT NOT NULL,
    version      INTEGER NOT NULL,
    -- 0 available, 1 issued, 2 redeemed, 3 void. These columns follow from record. They are columns so
    -- that queries can search them.
    state        INTEGER NOT NULL,
    holder       TEXT,
    -- Whether coupon_by_holder has it. If not, the claim of its holder leads to it.
    indexed      INTEGER NOT NULL,
    -- Null: that of the batch, and the partition is the day on which the batch expires.
    expires_at   INTEGER,
    -- When it was redeemed or voided, if it is.
    ended_at     INTEGER,
    -- Whether the history has no room for an issue and a redemption.
    history_full INTEGER NOT NULL,
    -- Its other dates, its hold, its events (oldest first, at most 32) and a checksum of the whole row:
    -- see crates/hot-sqlite/src/record.rs.
    record       BLOB NOT NULL
) STRICT;

-- Coupons that expire with their batch come first, with null, in the order of their batches.
CREATE INDEX coupon_by_holder ON coupon (holder, expires_at) WHERE holder IS NOT NULL AND indexed;
-- Coupons with an expiry of their own. All others are found by their batch, whose expiry they have.
CREATE INDEX coupon_by_expiry ON coupon (expires_at) WHERE expires_at IS NOT NULL;
-- The same by their partition: a coupon may expire before its partition ends.
CREATE INDEX coupon_by_day ON coupon (expiry_day) WHERE expires_at IS NOT NULL;
CREATE INDEX coupon_by_batch_expiry ON coupon (batch, expires_at) WHERE expires_at IS NOT NULL;
-- Stock that has rows, without imported coupons that nothing has happened to: those are found by
-- next_offset of their batch. Of coupons with one expiry the one with the fewest changes comes first, so
-- that issue and revoke do not fill the history of a single coupon.
CREATE INDEX coupon_available ON coupon (batch, expires_at, version)
    WHERE state = 0 AND history_full = 0 AND (version > 1 OR expires_at IS NOT NULL);
-- Redeemed and void coupons. They move to cold when no rule can change them any more.
CREATE INDEX coupon_closed ON coupon (expiry_day, batch, state, ended_at)
    WHERE ended_at IS NOT NULL;

-- Replaces the row of an archived coupon while its partition is open: no writer can change the coupon
-- now, and a reader looks it up in cold.
CREATE TABLE archived_marker (
    expiry_day INTEGER NOT NULL,
    code       TEXT NOT NULL,
    -- The version that is in cold.
    version    INTEGER NOT NULL,
    PRIMARY KEY (expiry_day, code)
) STRICT, WITHOUT ROWID;

-- Imported and shared codes, and minted codes that were extended to another partition. An imported
-- code never becomes free again.
CREATE TABLE directory (
    code       TEXT PRIMARY KEY,
    -- Of a shared code. Null: that of the coupon's batch.
    campaign   INTEGER,
    -- The row of a coupon. An archived coupon keeps the number; another coupon of the batch may have it
    -- later. Neither campaign nor number: the code is gone, that is, it was archived and a restored store
    -- does not know its campaign.
    number     INTEGER,
    -- Null: the day on which the batch expires.
    expiry_day INTEGER,
    -- What the last imported line with this code said, if that is not in the row: see
    -- crates/hot-sqlite/src/last_line.rs. Null for shared and minted codes.
    last_line  BLOB
) STRICT, WITHOUT ROWID;

-- Which user became a holder, and with which name for the request.
CREATE TABLE claim (
    user_id    TEXT NOT NULL,
    -- 0: the wallet of the user finds the coupon by this claim. A user has at most 32 of those, the first.
    indexed    INTEGER NOT NULL,
    campaign   INTEGER NOT NULL,
    -- Counts the entries of a user in a campaign.
    entry      INTEGER NOT NULL,
    expiry_day INTEGER NOT NULL,
    code       TEXT NOT NULL,
    ref        TEXT,
    -- The event that gave the coupon to the user. The entry counts until a later event takes it away.
    issue      INTEGER,
    PRIMARY KEY (user_id, indexed, campaign, entry)
) STRICT, WITHOUT ROWID;

-- Coupons issued with issue_ref replaces:CODE.
CREATE TABLE replacement (
    replaced TEXT PRIMARY KEY,
    user_id  TEXT NOT NULL,
    -- The event of the replaced coupon that gave it to the user.
    issue    INTEGER
) STRICT, WITHOUT ROWID;

-- Redemptions that were cancelled. Those that were not are found by coupon_closed. A row stays until some
-- time after that of its coupon is gone.
CREATE TABLE cancelled_redemption (
    redeemed_at INTEGER NOT NULL,
    -- The row of the coupon.
    number      INTEGER NOT NULL,
    campaign    INTEGER NOT NULL,
    PRIMARY KEY (redeemed_at, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX cancelled_redemption_by_campaign ON cancelled_redemption (campaign, redeemed_at, number);

-- Which coupons an order has redeemed, in either tier: written some time after the redemption.
CREATE TABLE redeemed_by_order (
    -- The low 32 bits of the XXH3-64 of the order_ref.
    order_hash INTEGER NOT NULL,
    code       TEXT NOT NULL,
    -- The UTC day of the redemption, since 1970. Old rows are deleted.
    redeemed_on INTEGER NOT NULL,
    PRIMARY KEY (order_hash, code)
) STRICT, WITHOUT ROWID;

-- How often something was done in a quarter of an hour, from which days and hours of every time zone are
-- added up. The least quarter of a campaign has the amounts of all time.
CREATE TABLE activity (
    -- 0: all campaigns together.
    campaign  INTEGER NOT NULL,
    -- The number of the quarter since 1970.
    quarter   INTEGER NOT NULL,
    issued    INTEGER NOT NULL,
    redeemed  INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    -- The amounts of the redemptions, for each currency: how many orders said one, what these cost and saved, and the
    -- same of what was cancelled, such as KRW 2 60000 6000 1 30000 3000.
    worth     TEXT,
    PRIMARY KEY (campaign, quarter)
) STRICT, WITHOUT ROWID;

-- Who changed what, besides coupons: campaigns, batches and the store itself. Never deleted.
CREATE TABLE audit (
    number      INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    -- Null: the store.
    campaign_id TEXT,
    batch_id    TEXT,
    reason      TEXT,
    -- JSON: the name of each field, and its value before and after.
    changes     TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_campaign ON audit (campaign_id) WHERE campaign_id IS NOT NULL;

-- What happened, in the order of commits: the feed. Old rows are deleted, but never the newest, so that no
-- number comes twice.
CREATE TABLE event (
    number  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    -- 1 issued, 2 redeemed, 3 redemption cancelled, 4 revoked, 5 voided, 6 extended, 7 held, 8 released,
    -- 20 a row of the table audit, 21 a person who was erased.
    kind    INTEGER NOT NULL,
    -- Of a coupon.
    batch   INTEGER,
    code    TEXT,
    -- That of the coupon after it, or the number of the row of the table audit or of the erasure.
    version INTEGER NOT NULL,
    -- A number of the table actor, or the name itself. Null: the user.
    actor   ANY,
    user_id TEXT,
    -- The issue_ref, the revoke_ref or the order; of a person, their erased name.
    ref     TEXT,
    reason  TEXT,
    -- The expiry that an issue or an extension has decided, or when a hold lapses.
    until   INTEGER,
    -- The amounts of a redemption that was made or cancelled, such as KRW 30000 3000.
    worth   TEXT
) STRICT;

-- Names the events of this store. A restore begins another epoch.
INSERT INTO setting (name, value) VALUES ('feed_epoch', lower(hex(randomblob(8))));

CREATE TABLE account (
    login_id      TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Readers remember the terms of campaigns and batches, and which partitions are sealed. They read
-- them again when the number terms_revision has changed. These triggers raise it, whichever process
-- and release makes the change.
CREATE TRIGGER campaign_terms AFTER UPDATE OF campaign_id, name, handout, shared_code, code_prefix,
    valid_from, expires_at, earlier_ends, time_zone, valid_days, issue_from, issue_until, per_user_limit,
    cancel_days, extend_days, paused, metadata, worth, created_at ON campaign
BEGIN
    INSERT INTO setting (name, value) VALUES ('terms_revision', '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1;
END;
CREATE TRIGGER batch_terms AFTER UPDATE OF campaign, batch_id, paused, created_at, valid_from,
    expires_at, made_at, moved ON batch
BEGIN
    INSERT INTO setting (name, value) VALUES ('terms_revision', '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1;
END;
CREATE TRIGGER partition_sealed AFTER UPDATE OF sealed ON partition_plan
BEGIN
    INSERT INTO setting (name, value) VALUES ('terms_revision', '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1;
END;
CREATE TRIGGER partition_made_sealed AFTER INSERT ON partition_plan WHEN NEW.sealed
BEGIN
    INSERT INTO setting (name, value) VALUES ('terms_revision', '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1;
END;
