-- Health of a ScheduledPreloadJob. Runs where there is no string library: only base, table, and require("os").
local os = require("os")

local degraded_after_minutes = 10
local keys = {"resetRequested", "esa.preload-operator.io/resetRequested"}
-- The account's owner has to act; conditions alone look like those of an outage that time heals.
local blocking = {
  AccessDenied = true, CredentialsInvalid = true, CredentialsMissing = true, CredentialsNotAllowed = true,
  QuotaExceeded = true, AccountUnusable = true, EsaError = true, SourceNotFound = true, WindowRefused = true
}
-- The operator does not look at requests of such a resource, so it would be Progressing for ever.
local deaf = {JobClaimed = true, CRDOutdated = true, InvalidSpec = true, StatusUnreadable = true}
local under_way = {InFlight = true, Retrying = true, Held = true}
-- What keeps a job from being created or replaced; requests wait for the new job.
local unmade = {QuotaExceeded = true, SourceNotFound = true}

-- A token above 256 bytes is kept as its SHA-256, which can't be computed here: any such entry counts as the token's.
local function same(token, entry)
  if entry ~= nil and #token > 256 then
    return entry >= "sha256:" and entry < "sha256;"
  end
  return token == entry
end

-- Whether there is a request that the operator has neither handled nor taken up.
local function asked(annotations, status)
  local handled = status.handledResets or {}
  local reset = status.reset or {}
  local taken = under_way[reset.phase] and reset.tokens or {}
  for _, key in ipairs(keys) do
    local token = annotations[key]
    if token ~= nil and token ~= "" and not same(token, handled[key]) and not same(token, taken[key]) then
      return true
    end
  end
  return false
end

-- UTC some minutes ago as RFC 3339, which sorts like time. os.date ignores its "!" when a time is given, so the
-- fields of now are taken in UTC, and go through the local zone and back.
local function ago(minutes)
  local now = os.date("!*t")
  local moment = {year = now.year, month = now.month, day = now.day, hour = now.hour, min = now.min - minutes, sec = now.sec}
  return os.date("%Y-%m-%dT%XZ", os.time(moment))
end

local status = obj.status or {}
local told = {}
for _, condition in ipairs(status.conditions or {}) do
  told[condition.type] = condition
end
local ready = told.Ready or {}
local reconciling = (told.Reconciling or {}).status == "True"
local stalled = (told.Stalled or {}).status == "True"

local spec = obj.spec or {}
local waits_for_job = spec.siteId ~= nil and ((status.jobId or "") == "" or unmade[ready.reason])

local health = {status = "Progressing", message = ready.message or "waiting for the operator"}
if status.observedGeneration ~= obj.metadata.generation then
  health.message = "the operator has not looked at the present spec yet"
elseif spec.suspend == true and ready.reason == "Suspended" then
  health.status = "Suspended"
elseif asked(obj.metadata.annotations or {}, status) and not waits_for_job and not (stalled and deaf[ready.reason]) then
  health.message = "the operator has not taken up the requested reset yet"
elseif stalled then
  health.status = "Degraded"
elseif ready.status == "True" and not reconciling then
  health.status = "Healthy"
elseif ready.status == "False" and blocking[ready.reason] and ready.lastTransitionTime <= ago(degraded_after_minutes) then
  health.status = "Degraded"
end
return health
