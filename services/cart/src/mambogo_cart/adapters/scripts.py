"""What changes in Redis at once, as Lua: each script is one atomic step, however many tabs are open.

A cart is a hash: `id`, `version`, and per product `p:<id>` = `<quantity>:<position>`. `position` is the
version at which the product came, so that items keep their order. Prices are one hash for all carts: `<id>` =
JSON that begins with the Unix milliseconds at which they were seen. A frozen checkout is
`<cart id>:<version>|<body>`.
"""

from __future__ import annotations

from typing import Final

# KEYS: cart, prices. What every script answers with: {id, version, products, values, prices}.
_SNAPSHOT: Final = """
local function snapshot(cart, prices)
  local id, version, products, values = '', '0', {}, {}
  local all = redis.call('HGETALL', cart)
  for i = 1, #all, 2 do
    if all[i] == 'id' then id = all[i + 1]
    elseif all[i] == 'version' then version = all[i + 1]
    else
      products[#products + 1] = string.sub(all[i], 3)
      values[#values + 1] = all[i + 1]
    end
  end
  local seen = {}
  if #products > 0 then seen = redis.call('HMGET', prices, unpack(products)) end
  return {id, version, products, values, seen}
end
"""

READ: Final = _SNAPSHOT + "return snapshot(KEYS[1], KEYS[2])"

# ARGV: product, quantity, id of a new cart, most lines, lifetime in ms, oldest price that will do in ms.
# Answers 'price' when the price has to be asked for first, 'full' when nothing more fits.
PUT: Final = (
    _SNAPSHOT
    + """
local price = redis.call('HGET', KEYS[2], ARGV[1])
if not price or tonumber(string.match(price, '%d+')) < tonumber(ARGV[6]) then return {'price'} end
local field = 'p:' .. ARGV[1]
local held = redis.call('HGET', KEYS[1], field)
if not held then
  -- Besides its products a cart holds its id and its version.
  if redis.call('HLEN', KEYS[1]) - 2 >= tonumber(ARGV[4]) then return {'full'} end
  redis.call('HSETNX', KEYS[1], 'id', ARGV[3])
end
if not held or string.match(held, '%d+') ~= ARGV[2] then
  local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
  local position = held and string.match(held, ':(%d+)') or version
  redis.call('HSET', KEYS[1], field, ARGV[2] .. ':' .. position)
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'ok', snapshot(KEYS[1], KEYS[2])}
"""
)

# ARGV: product. Answers whether it was there. A cart that loses its last product is gone.
REMOVE: Final = """
if redis.call('HDEL', KEYS[1], 'p:' .. ARGV[1]) == 0 then return 0 end
if redis.call('HLEN', KEYS[1]) <= 2 then redis.call('DEL', KEYS[1])
else redis.call('HINCRBY', KEYS[1], 'version', 1) end
return 1
"""

# KEYS: cart, prices, frozen, last. What a checkout begins with.
BEGIN: Final = (
    _SNAPSHOT
    + """
local cart = snapshot(KEYS[1], KEYS[2])
if #cart[3] == 0 then
  local last = redis.call('GET', KEYS[4])
  if last then return {'last', last} end
  return {'empty'}
end
local frozen = redis.call('GET', KEYS[3])
local prefix = cart[1] .. ':' .. cart[2] .. '|'
if frozen and string.sub(frozen, 1, #prefix) == prefix then
  return {'frozen', cart, string.sub(frozen, #prefix + 1)}
end
return {'open', cart}
"""
)

# KEYS: cart, frozen. ARGV: id, version, body, lifetime in ms. What this version is ordered with: the body of
# whoever came first; nothing when the cart has changed.
FREEZE: Final = """
local held = redis.call('HMGET', KEYS[1], 'id', 'version')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return false end
local prefix = ARGV[1] .. ':' .. ARGV[2] .. '|'
local frozen = redis.call('GET', KEYS[2])
if frozen and string.sub(frozen, 1, #prefix) == prefix then return string.sub(frozen, #prefix + 1) end
redis.call('SET', KEYS[2], prefix .. ARGV[3], 'PX', ARGV[4])
return ARGV[3]
"""

# KEYS: frozen. ARGV: id, version, body. Forget this body, so that the next checkout makes its own.
THAW: Final = """
local frozen = ARGV[1] .. ':' .. ARGV[2] .. '|' .. ARGV[3]
if redis.call('GET', KEYS[1]) == frozen then redis.call('DEL', KEYS[1]) end
"""

# KEYS: cart, frozen, last. ARGV: id, version, the answer, how long it is remembered in ms. Answers whether
# the cart was emptied: only if it is still what was ordered.
FINISH: Final = """
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
local prefix = ARGV[1] .. ':' .. ARGV[2] .. '|'
local frozen = redis.call('GET', KEYS[2])
if frozen and string.sub(frozen, 1, #prefix) == prefix then redis.call('DEL', KEYS[2]) end
local held = redis.call('HMGET', KEYS[1], 'id', 'version')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""
