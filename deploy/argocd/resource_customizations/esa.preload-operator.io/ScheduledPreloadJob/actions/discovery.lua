-- The actions of a ScheduledPreloadJob: Reset, unless a reset is requested or under way.
local keys = {"resetRequested", "esa.preload-operator.io/resetRequested"}
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

return {reset = {disabled = busy(), displayName = "Reset", iconClass = "fa fa-fw fa-redo"}}
