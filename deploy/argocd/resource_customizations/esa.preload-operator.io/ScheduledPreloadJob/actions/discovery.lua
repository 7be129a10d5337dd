-- The actions of a ScheduledPreloadJob: Reset, unless one is requested or under way, or the operator would not look at it;
-- Suspend and Resume.
local keys = {"resetRequested", "esa.preload-operator.io/resetRequested"}
local deaf = {JobClaimed = true, CRDOutdated = true, InvalidSpec = true, StatusUnreadable = true}
local under_way = {InFlight = true, Retrying = true, Held = true}

-- A token above 256 bytes is kept as its SHA-256, which can't be computed here: any such entry counts as the token's.
local function same(token, entry)
  if entry ~= nil and #token > 256 then
    return entry >= "sha256:" and entry < "sha256;"
  end
  return token == entry
end

local function busy()
  local status = obj.status or {}
  local handled = status.handledResets or {}
  for _, key in ipairs(keys) do
    local token = (obj.metadata.annotations or {})[key]
    if token ~= nil and token ~= "" and not same(token, handled[key]) then
      return true
    end
  end
  return under_way[(status.reset or {}).phase] == true
end

-- Why the operator does not look at requests of this resource, where it does not.
local function unheard()
  local told = {}
  for _, condition in ipairs((obj.status or {}).conditions or {}) do
    told[condition.type] = condition
  end
  local reason = (told.Ready or {}).reason
  return (told.Stalled or {}).status == "True" and deaf[reason] and reason
end

local reason = unheard()
local name = "Reset"
if reason then
  name = "Reset (not possible: " .. reason .. ")"
end
local suspended = (obj.spec or {}).suspend == true
return {
  reset = {disabled = busy() or reason and true or false, displayName = name, iconClass = "fa fa-fw fa-redo"},
  suspend = {disabled = suspended, displayName = "Suspend", iconClass = "fa fa-fw fa-pause"},
  resume = {disabled = not suspended, displayName = "Resume", iconClass = "fa fa-fw fa-play"}
}
