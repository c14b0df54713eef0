-- The indexes of schema/hot.sql. The code is first in coupon_by_code, because a peer does not know
-- the day of a code before it finds the row.
CREATE UNIQUE INDEX coupon_by_code ON coupon (code, expiry_day) WITH (fillfactor = 75);
CREATE INDEX coupon_by_holder ON coupon (holder, expires_at) WITH (fillfactor = 75)
    WHERE holder IS NOT NULL;
CREATE INDEX coupon_by_campaign ON coupon (campaign, expires_at);
CREATE INDEX coupon_by_expiry ON coupon (expires_at);
-- With the code, so that those who take one begin to look at different places.
CREATE INDEX coupon_available ON coupon (batch, expires_at, version, code)
    WHERE state = 'available' AND NOT history_full;
CREATE INDEX coupon_closed ON coupon (expiry_day, campaign, redeemed_at, modified_at)
    WHERE state IN ('redeemed', 'void');
