-- The tables of schema/hot.sql that redeem, issue, look-up and import touch, with the same columns.
-- postgres_indexes.sql has the indexes: they are made after the first coupons were loaded.
--
-- Left out, in this peer's favour: `number`, which SQLite keeps without an index and which is the
-- ctid here, and `directory`, which tells couponry on which day's partition a foreign code lies.

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
    made_expires_at BIGINT NOT NULL,
    issued_at       BIGINT,
    redeemed_at     BIGINT,
    order_ref       TEXT,
    hold            TEXT,
    -- One JSON object a line, oldest first.
    events          TEXT NOT NULL,
    history_full    BOOLEAN NOT NULL DEFAULT FALSE,
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
