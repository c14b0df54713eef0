-- Redeems once. KEYS: the coupon. ARGV: user, order, now.
local c = redis.call('HMGET', KEYS[1], 'state', 'holder', 'order_ref', 'expires_at', 'redeemed_at',
    'campaign', 'valid_from')
if not c[1] or c[2] ~= ARGV[1] then
    return {'not_found', '', ''}
end
if c[1] == 'redeemed' then
    if c[3] == ARGV[2] then
        return {'again', c[6], c[5]}
    end
    return {'already', '', ''}
end
if tonumber(c[4]) <= tonumber(ARGV[3]) then
    return {'expired', '', ''}
end
redis.call('HSET', KEYS[1], 'state', 'redeemed', 'redeemed_at', ARGV[3], 'order_ref', ARGV[2],
    'modified_at', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'version', 1)
return {'made', c[6], ARGV[3]}
