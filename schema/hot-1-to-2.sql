-- The upgrade of a hot store of schema version 1, run once, after a copy of it was kept.

ALTER TABLE campaign ADD COLUMN cold_issued INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaign ADD COLUMN cold_redeemed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaign ADD COLUMN cold_void INTEGER NOT NULL DEFAULT 0;

ALTER TABLE day_plan ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE day_plan ADD COLUMN unit INTEGER NOT NULL DEFAULT 0;
ALTER TABLE day_plan ADD COLUMN emptied INTEGER NOT NULL DEFAULT 0;

CREATE INDEX coupon_closed ON coupon (shelf_day, campaign, redeemed_at, modified_at)
    WHERE state IN ('redeemed', 'void');

CREATE TABLE stub (
    shelf_day INTEGER NOT NULL,
    code      TEXT NOT NULL,
    version   INTEGER NOT NULL,
    PRIMARY KEY (shelf_day, code)
) STRICT, WITHOUT ROWID;
