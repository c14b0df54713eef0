-- The embedded hot store: one SQLite file, DATA/hot.db. This file is what the binary runs on a new
-- store, and a test compares it with what a store really has.
--
-- Instants (_at, valid_from, issue_from, issue_until, seal_after) are milliseconds since 1970 UTC;
-- days are UTC days since 1970. A code is bare: upper case, no hyphens, no prefix.

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
    time_zone      TEXT NOT NULL,
    valid_days     INTEGER,
    issue_from     INTEGER,
    issue_until    INTEGER,
    per_user_limit INTEGER,
    cancel_days    INTEGER NOT NULL,
    extend_days    INTEGER NOT NULL,
    paused         INTEGER NOT NULL,
    metadata       TEXT,
    created_at     INTEGER NOT NULL,
    -- The request that made it, in one normal form: the same name with the same body is a replay.
    created_as     TEXT NOT NULL,
    -- Coupons in each state now; what is left of stock is available.
    stock          INTEGER NOT NULL,
    issued         INTEGER NOT NULL,
    redeemed       INTEGER NOT NULL,
    void           INTEGER NOT NULL,
    -- Of those, so many have been moved to cold and have no row here any more.
    cold_issued    INTEGER NOT NULL DEFAULT 0,
    cold_redeemed  INTEGER NOT NULL DEFAULT 0,
    cold_void      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE batch (
    number        INTEGER PRIMARY KEY,
    campaign      INTEGER NOT NULL REFERENCES campaign (number),
    batch_id      TEXT NOT NULL,
    -- minted: a run of serials of one day under one key; imported: these four are null.
    key_id        TEXT,
    expiry_day    INTEGER,
    first_serial  INTEGER,
    -- Serials below first_serial + next_offset have been offered once; what came back has a row.
    next_offset   INTEGER,
    count         INTEGER NOT NULL,
    paused        INTEGER NOT NULL,
    paused_reason TEXT,
    -- How the last import into it ended.
    lines         INTEGER NOT NULL,
    imported      INTEGER NOT NULL,
    already_there INTEGER NOT NULL,
    rejected      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    UNIQUE (campaign, batch_id)
) STRICT;

CREATE INDEX batch_by_serial ON batch (expiry_day, first_serial) WHERE expiry_day IS NOT NULL;

-- One row a partition, there before the first coupon of its day.
CREATE TABLE partition_plan (
    expiry_day     INTEGER PRIMARY KEY,
    bucket_bits    INTEGER NOT NULL,
    -- The partition may be sealed after this instant.
    seal_after     INTEGER NOT NULL,
    closing        INTEGER NOT NULL,
    -- One counter for all campaigns, so that no two batches mint one code.
    next_serial    INTEGER NOT NULL,
    -- Once sealed nothing in the partition changes any more: a coupon without a row is looked up in
    -- cold. It stays for ever.
    sealed         INTEGER NOT NULL DEFAULT 0,
    -- The last archive commit of this partition that was copied to cold and whose rows were removed
    -- here.
    archive_commit INTEGER NOT NULL DEFAULT 0,
    -- Whether it was sealed and every row of it has been removed.
    emptied        INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A coupon that something has happened to, or that was imported. A minted code without a row is
-- available. Rows lie in the order in which they came, and so do the entries of one expiry in the
-- indexes: only coupon_by_code is written at random places.
CREATE TABLE coupon (
    number          INTEGER PRIMARY KEY,
    expiry_day      INTEGER NOT NULL,
    code            TEXT NOT NULL,
    campaign        INTEGER NOT NULL,
    batch           INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    -- state, holder, expires_at, issued_at, redeemed_at and order_ref are what events say; they
    -- stand here to be searched.
    state           TEXT NOT NULL,
    holder          TEXT,
    valid_from      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    -- The expiry it came with.
    made_expires_at INTEGER NOT NULL,
    issued_at       INTEGER,
    redeemed_at     INTEGER,
    order_ref       TEXT,
    -- JSON: {by, order, operation, since, until}.
    hold            TEXT,
    -- One line each, oldest first, at most 32: kind, at, actor, operation, user, reference, reason,
    -- expires_at and time_zone, apart by tabs. Blanks at the end are room for the redemption.
    events          TEXT NOT NULL,
    -- Whether so much has happened to it that an issue and a redemption have no room any more.
    history_full    INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    modified_at     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX coupon_by_code ON coupon (expiry_day, code);
CREATE INDEX coupon_by_holder ON coupon (holder, expires_at) WHERE holder IS NOT NULL;
CREATE INDEX coupon_by_campaign ON coupon (campaign, expires_at);
CREATE INDEX coupon_by_expiry ON coupon (expires_at);
-- Stock that has rows: imported coupons, and what was revoked. Of those that expire together the
-- one that has been changed least is first, so that none is worn out by giving and taking back.
CREATE INDEX coupon_available ON coupon (batch, expires_at, version)
    WHERE state = 'available' AND history_full = 0;
-- What no rule can change any more and can be moved to cold.
CREATE INDEX coupon_closed ON coupon (expiry_day, campaign, redeemed_at, modified_at)
    WHERE state IN ('redeemed', 'void');

-- In place of a coupon that was moved to cold while its partition is open: nobody can write to it
-- any more, and who reads it is sent to cold.
CREATE TABLE archived_marker (
    expiry_day INTEGER NOT NULL,
    code       TEXT NOT NULL,
    -- The version that lies in cold.
    version    INTEGER NOT NULL,
    PRIMARY KEY (expiry_day, code)
) STRICT, WITHOUT ROWID;

-- Foreign, shared and moved codes; a foreign code is never free a second time.
CREATE TABLE directory (
    code           TEXT PRIMARY KEY,
    -- coupon, shared, or gone: archived, of a campaign that a restored store does not know.
    kind           TEXT NOT NULL,
    campaign       INTEGER NOT NULL,
    batch          INTEGER,
    expiry_day     INTEGER,
    -- What the last line imported under this code said: null for shared and for minted codes.
    valid_from     INTEGER,
    expires_at     INTEGER,
    imported_state TEXT
) STRICT, WITHOUT ROWID;

-- Who became a holder, under which name for the request.
CREATE TABLE claim (
    campaign   INTEGER NOT NULL,
    user_id    TEXT NOT NULL,
    entry      INTEGER NOT NULL,
    expiry_day INTEGER NOT NULL,
    code       TEXT NOT NULL,
    ref        TEXT,
    -- Which event of the coupon the entry is about: it stands while no later one gave it away.
    issue      INTEGER,
    PRIMARY KEY (campaign, user_id, entry)
) STRICT, WITHOUT ROWID;

-- Coupons issued with issue_ref replaces:CODE.
CREATE TABLE replacement (
    replaced TEXT PRIMARY KEY,
    user_id  TEXT NOT NULL,
    -- Which event of the replaced coupon had given it to the user.
    issue    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE rejected_line (
    batch  INTEGER NOT NULL,
    line   INTEGER NOT NULL,
    text   TEXT NOT NULL,
    word   TEXT NOT NULL,
    detail TEXT NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (batch, line)
) STRICT, WITHOUT ROWID;

CREATE INDEX rejected_line_by_age ON rejected_line (at);

CREATE TABLE account (
    login_id      TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Readers remember the terms of campaigns and batches, and which partitions are sealed, and read
-- them again when this number has been raised: by whichever process, of whichever release.
CREATE TRIGGER campaign_terms AFTER UPDATE OF campaign_id, name, handout, shared_code, code_prefix,
    valid_from, expires_at, time_zone, valid_days, issue_from, issue_until, per_user_limit,
    cancel_days, extend_days, paused, metadata, created_at ON campaign
BEGIN
    INSERT INTO setting (name, value) VALUES ('terms_revision', '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1;
END;
CREATE TRIGGER batch_terms AFTER UPDATE OF campaign, batch_id, paused, created_at ON batch
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
