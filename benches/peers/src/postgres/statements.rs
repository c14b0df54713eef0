//! Every statement that is sent while the peer is measured.

/// The one statement of a redeem. It changes a row only if every rule holds.
pub(super) const REDEEM: &str = "
    UPDATE coupon
    SET state = 'redeemed', redeemed_at = $4, order_ref = $3, modified_at = $4,
        version = version + 1, events = events || $5
    WHERE code = $1 AND holder = $2 AND state = 'issued' AND valid_from <= $4 AND expires_at > $4
    RETURNING campaign";

/// [`REDEEM`] of many. Of two rows with one code only one counts.
pub(super) const REDEEM_MANY: &str = "
    UPDATE coupon
    SET state = 'redeemed', redeemed_at = $4, order_ref = asked.order_ref, modified_at = $4,
        version = version + 1, events = events || asked.event
    FROM unnest($1::text[], $2::text[], $3::text[], $5::text[])
        AS asked (code, user_id, order_ref, event)
    WHERE coupon.code = asked.code AND holder = asked.user_id AND state = 'issued'
        AND valid_from <= $4 AND expires_at > $4
    RETURNING coupon.code, campaign, coupon.order_ref";

/// Coupons by their codes.
pub(super) const COUPONS: &str = "
    SELECT code, campaign, state, holder, valid_from, expires_at, issued_at, redeemed_at, order_ref,
        created_at, modified_at, version
    FROM coupon WHERE code = ANY($1)";

/// A coupon by its code.
pub(super) const COUPON: &str = "
    SELECT code, campaign, state, holder, valid_from, expires_at, issued_at, redeemed_at, order_ref,
        created_at, modified_at, version
    FROM coupon WHERE code = $1";

/// The coupon that a user has of a campaign.
pub(super) const CLAIMED: &str = "
    SELECT coupon.code, coupon.campaign, state, holder, valid_from, expires_at, issued_at,
        redeemed_at, order_ref, created_at, modified_at, version
    FROM claim JOIN coupon ON coupon.code = claim.code AND coupon.expiry_day = claim.expiry_day
    WHERE claim.campaign = $1 AND claim.user_id = $2";

/// [`CLAIMED`] of many users.
pub(super) const ALL_CLAIMED: &str = "
    SELECT coupon.code, coupon.campaign, state, holder, valid_from, expires_at, issued_at,
        redeemed_at, order_ref, created_at, modified_at, version
    FROM claim JOIN coupon ON coupon.code = claim.code AND coupon.expiry_day = claim.expiry_day
    WHERE claim.campaign = $1 AND claim.user_id = ANY($2)";

/// [`ISSUE_COUNTER`] for many users: all of them if the stock has enough, or else none.
pub(super) const ISSUE_MANY: &str = "
    WITH claimed AS (
        INSERT INTO claim (campaign, user_id, entry, expiry_day, code, issue)
        SELECT number, asked.user_id, 0, $3, asked.code, 0
        FROM campaign, unnest($2::text[], $4::text[]) AS asked (user_id, code)
        WHERE number = $1 AND issued < stock
        ON CONFLICT DO NOTHING
        RETURNING campaign, user_id, code
    ), made AS (
        INSERT INTO coupon (expiry_day, code, campaign, batch, state, holder, valid_from,
            expires_at, issued_at, events, created_at, modified_at)
        SELECT $3, code, campaign, campaign, 'issued', user_id, $5, $6, $7, $8, $7, $7 FROM claimed
        RETURNING holder, code
    ), counted AS (
        UPDATE campaign SET issued = issued + (SELECT count(*) FROM made)
        WHERE number = $1 AND EXISTS (SELECT FROM made)
    )
    SELECT holder, code FROM made";

/// First come, first served by a counter: claim, coupon and count in one statement. The count comes
/// last, so its row is locked only for the commit. The table checks that the count is at most the
/// stock. The read of the count before only saves work when all are gone.
pub(super) const ISSUE_COUNTER: &str = "
    WITH claimed AS (
        INSERT INTO claim (campaign, user_id, entry, expiry_day, code, issue)
        SELECT number, $2, 0, $3, $4, 0 FROM campaign WHERE number = $1 AND issued < stock
        ON CONFLICT DO NOTHING
        RETURNING campaign
    ), made AS (
        INSERT INTO coupon (expiry_day, code, campaign, batch, state, holder, valid_from,
            expires_at, issued_at, events, created_at, modified_at)
        SELECT $3, $4, campaign, campaign, 'issued', $2, $5, $6, $7, $8, $7, $7 FROM claimed
        RETURNING campaign
    )
    UPDATE campaign SET issued = issued + 1 FROM made WHERE number = made.campaign";

/// First come, first served from a pool: a coupon that is not locked, the claim, and the new state
/// of the coupon in one statement. The search starts at `$4`.
pub(super) const ISSUE_POOL: &str = "
    WITH picked AS (
        SELECT code FROM coupon
        WHERE batch = $1 AND expires_at = $5 AND code >= $4 AND state = 'available'
            AND NOT EXISTS (SELECT FROM claim WHERE campaign = $1 AND user_id = $2)
        ORDER BY code LIMIT 1
        FOR UPDATE SKIP LOCKED
    ), claimed AS (
        INSERT INTO claim (campaign, user_id, entry, expiry_day, code, issue)
        SELECT $1, $2, 0, $3, code, 0 FROM picked
        ON CONFLICT DO NOTHING
        RETURNING code
    )
    UPDATE coupon
    SET state = 'issued', holder = $2, issued_at = $6, modified_at = $6, version = version + 1,
        events = events || $7
    FROM claimed WHERE coupon.code = claimed.code AND coupon.expiry_day = $3
    RETURNING coupon.code";

/// A new campaign. No row if the name exists.
pub(super) const CAMPAIGN_MADE: &str = "
    INSERT INTO campaign (campaign_id, valid_from, expires_at, stock) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
    RETURNING number";

/// A campaign by its name.
pub(super) const CAMPAIGN_BY_ID: &str =
    "SELECT number, campaign_id, valid_from, expires_at FROM campaign WHERE campaign_id = $1";

/// A campaign by its number.
pub(super) const CAMPAIGN_BY_NUMBER: &str =
    "SELECT number, campaign_id, valid_from, expires_at FROM campaign WHERE number = $1";

/// Rows as [`Rows`](super::lines::Rows) writes them.
pub(super) const COPY: &str = "
    COPY coupon (code, state, holder, expiry_day, campaign, batch, valid_from, expires_at,
        issued_at, events, created_at, modified_at)
    FROM STDIN (FORMAT text, DELIMITER ',', NULL '')";
