-- What can be done with a job: nothing once it has ended, no stop while it rests.
local phase = (obj.status or {}).phase
local ended = phase == "Succeeded" or phase == "Failed"
local suspended = obj.spec.suspend == true
local stopped = obj.spec.activeDeadline == "1s" and obj.spec.startDeadline == "1s"

local actions = {}
actions["suspend"] = {["disabled"] = ended or suspended}
actions["resume"] = {["disabled"] = ended or not suspended}
actions["stop"] = {["disabled"] = ended or suspended or stopped}
return actions
