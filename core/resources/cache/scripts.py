"""What happens to an entry, each in one step of Redis.

KEYS[1] is the entry. ARGV is the epoch, a version, a mark, a payload (`owner:body`); then lives in ms: a payload's,
a change's mark's, any other mark's. Readers' marks begin with an r.
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

# Before a change: takes the body away, and the mark of another change that is under way.
MARK = _BEGINNING + "return put(version, ARGV[3], '', ARGV[6])"

# By a reader, before it looks into the database: its mark, unless a change or another reader has one, or somebody has
# filled in already.
LOOK = (
    _BEGINNING
    + """
if epoch == ARGV[1] or (mark ~= '' and not is_readers) then return 0 end
return put(version, ARGV[3], '', ARGV[7])
"""
)

# By a reader that has looked. It fills in while its mark is still there: then nobody has begun a change since, and
# Redis has not been emptied. Else it sees to it that no other reader fills in what is older than what it saw.
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

# After a change; without a payload it was a deletion. Only a change whose mark is on top, and whose version nobody has
# reached, puts its representation in. Any other sees to it that there is a mark for long enough to keep readers of
# older rows out, and that whoever is on top learns of its version. (A change that changes nothing but the time keeps
# its version: it ends like one that was overtaken.)
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
