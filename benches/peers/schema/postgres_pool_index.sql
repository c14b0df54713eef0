-- For `--issue pool` alone: the coupons that may be taken, with the code, so that those who take one begin
-- to look at different places.
CREATE INDEX coupon_available ON coupon (batch, expires_at, code) WHERE state = 'available';
