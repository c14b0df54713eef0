-- One index for each question: a code, a user's coupons, a campaign's coupons in the order of their
-- expiry. A redeem changes no column of them, so it is a heap-only update.
CREATE UNIQUE INDEX coupon_by_code ON coupon (code) WITH (fillfactor = 75);
CREATE INDEX coupon_by_holder ON coupon (holder) WITH (fillfactor = 75) WHERE holder IS NOT NULL;
CREATE INDEX coupon_by_campaign ON coupon (campaign, expires_at);
