"""The atomic steps that change an entry in Redis, as Lua scripts.

KEYS[1] is the entry. ARGV is the epoch, a version, a mark and a payload (`owner:body`), then three lifetimes in
milliseconds: of a payload, of a change's mark, of any other mark. Readers' marks start with an r.
"""

_BEGINNING = """
local epoch, version, mark = '', 0, ''
local _, _, found_epoch, found_version, found_mark =
  string.find(redis.call('GETRANGE', KEYS[1], 0, 99), '^(%w*):(%d+):(%w*):')
if found_epoch then
  epoch, version, mark = found_epoch, tonumber(found_version), found_mark
end
local is_readers = string.sub(mark, 1, 1) == 'r'
local mine = tonumber(ARGV[2])
local function put(number, new_mark, payload, life)
  redis.call('SET', KEYS[1], ARGV[1] .. ':' .. number .. ':' .. new_mark .. ':' .. payload, 'PX', life)
  return 1
end
"""

# Before a change: remove the body, and the mark of another change in progress.
MARK = _BEGINNING + "return put(version, ARGV[3], '', ARGV[6])"

# Before a reader reads the database: set its mark, unless a change is in progress or the entry belongs to this epoch.
LOOK = (
    _BEGINNING
    + """
if epoch == ARGV[1] or (mark ~= '' and not is_readers) then return 0 end
return put(version, ARGV[3], '', ARGV[7])
"""
)

# After a reader has read the database: fill the entry if the reader's mark proves that no change has started and Redis
# was not flushed. Otherwise keep other readers from filling in an older version.
FILL = (
    _BEGINNING
    + """
if mark == ARGV[3] and version <= mine then return put(mine, '', ARGV[4], ARGV[5]) end
if version >= mine or not (is_readers or (found_epoch and mark == '')) then return 0 end
local left = redis.call('PTTL', KEYS[1])
if mark == '' then mark, left = 'spent', tonumber(ARGV[7]) end
put(mine, mark, '', left)
return 0
"""
)

# After a change; a deletion has no payload. Only the change whose mark is set, with the highest version, stores its
# payload. Any other change, also one that kept its version, leaves its version and a mark that keeps older rows out.
REPLACE = (
    _BEGINNING
    + """
if mark == ARGV[3] and version < mine then
  if ARGV[4] == '' then return put(mine, 'gone', '', ARGV[6]) end
  return put(mine, '', ARGV[4], ARGV[5])
end
if mark == '' and version > mine then return 0 end
local left = 0
if mark == '' or mark == ARGV[3] or is_readers then mark = 'spent' else left = redis.call('PTTL', KEYS[1]) end
return put(math.max(version, mine), mark, '', math.max(left, tonumber(ARGV[7])))
"""
)

# After a change that failed.
RELEASE = (
    _BEGINNING
    + """
if mark == ARGV[3] then redis.call('PEXPIRE', KEYS[1], ARGV[7]) end
return 0
"""
)
