-- Health of a PeftFsdpJob, read from its conditions. Written for Argo CD without open libraries.
local health = {}

local function has(kind, value)
  for _, condition in ipairs(obj.status.conditions or {}) do
    if condition.type == kind and condition.status == value then
      health.message = condition.message
      return true
    end
  end
  return false
end

local function is(kind)
  return has(kind, "True")
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
elseif obj.status.waiting ~= nil and has("Ready", "False") then
  health.status = "Progressing" -- the node of a worker does not answer
else
  health.status = "Progressing"
  health.message = "The model is being loaded"
end

local progress = obj.status.waiting == nil and obj.status.progress or nil
if health.status == "Progressing" and obj.status.phase == "Running" and progress ~= nil and progress.summary ~= nil then
  health.message = health.message .. "; step " .. progress.summary
  if progress.remaining ~= nil then
    health.message = health.message .. ", " .. progress.remaining .. " left"
  end
end
return health
