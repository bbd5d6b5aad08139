-- Health of a PeftFsdpJob, read from its conditions. Written for Argo CD without open libraries.
local health = {}

local function is(kind)
  for _, condition in ipairs(obj.status.conditions or {}) do
    if condition.type == kind and condition.status == "True" then
      health.message = condition.message
      return true
    end
  end
  return false
end

if obj.status == nil or (obj.status.observedGeneration or -1) < 0 then
  health.status = "Progressing"
  health.message = "The operator has not seen the job yet"
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  health.status = "Progressing"
  health.message = "The operator has not seen the latest change of the job yet"
  return health
end

if is("Complete") then
  health.status = "Healthy"
elseif is("Failed") or is("Stalled") then
  health.status = "Degraded"
elseif is("Suspended") then
  health.status = "Suspended"
elseif is("Ready") or is("Reconciling") then
  health.status = "Progressing"
else
  health.status = "Progressing"
  health.message = "The model is being loaded"
end

local progress = obj.status.progress
if health.status == "Progressing" and obj.status.phase == "Running" and progress ~= nil and progress.summary ~= nil then
  health.message = health.message .. "; step " .. progress.summary
  if progress.remaining ~= nil then
    health.message = health.message .. ", " .. progress.remaining .. " left"
  end
end
return health
