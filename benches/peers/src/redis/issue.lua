-- First come, first served: counts down, claims and makes the coupon, or says why not.
-- KEYS: campaign, its claims, the coupon. ARGV: user, code, campaign_id, valid_from, expires_at, now.
local had = redis.call('HGET', KEYS[2], ARGV[1])
if had then
    return {'again', had}
end
if tonumber(redis.call('HGET', KEYS[1], 'left') or '0') <= 0 then
    return {'sold_out', ''}
end
redis.call('HINCRBY', KEYS[1], 'left', -1)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], 'campaign', ARGV[3], 'state', 'issued', 'holder', ARGV[1],
    'valid_from', ARGV[4], 'expires_at', ARGV[5], 'issued_at', ARGV[6], 'created_at', ARGV[6],
    'modified_at', ARGV[6], 'version', '1')
return {'made', ARGV[2]}
