-- What an expert would make for redeem, issue, look-up, import and their lists: the answers of
-- schema/hot.sql, without what only SQLite or a partition needs. postgres_indexes.sql has the indexes:
-- they are made after the first coupons were loaded.
--
-- Left out, in this peer's favour: the directory of foreign codes, since one index finds every code; the
-- dates that a coupon came with; holds; whether a history is full.

CREATE TABLE campaign (
    number      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id TEXT NOT NULL UNIQUE,
    valid_from  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    stock       BIGINT NOT NULL,
    issued      BIGINT NOT NULL DEFAULT 0,
    -- Never more than there are, whatever the statements say.
    CHECK (issued <= stock)
-- A counter row is written thousands of times a second: its versions stay on its own page.
) WITH (fillfactor = 10);

CREATE TABLE coupon (
    expiry_day      INTEGER NOT NULL,
    code            TEXT NOT NULL,
    campaign        BIGINT NOT NULL,
    batch           BIGINT NOT NULL,
    version         INTEGER NOT NULL DEFAULT 1,
    state           TEXT NOT NULL,
    holder          TEXT,
    valid_from      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    issued_at       BIGINT,
    redeemed_at     BIGINT,
    order_ref       TEXT,
    -- One JSON object a line, oldest first.
    events          TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    modified_at     BIGINT NOT NULL
-- Room for a third of the rows of a page to be redeemed beside their first version.
) WITH (fillfactor = 75);

-- One coupon a user and campaign.
CREATE TABLE claim (
    campaign   BIGINT NOT NULL,
    user_id    TEXT NOT NULL,
    entry      INTEGER NOT NULL,
    expiry_day INTEGER NOT NULL,
    code       TEXT NOT NULL,
    ref        TEXT,
    issue      INTEGER,
    PRIMARY KEY (campaign, user_id, entry)
);
