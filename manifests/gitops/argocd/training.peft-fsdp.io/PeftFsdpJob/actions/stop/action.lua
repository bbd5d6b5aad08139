-- Ends the job for good: both deadlines have passed at once, whether its pods run or have yet to start. The pods save a
-- checkpoint, and the job becomes Failed. It cannot be resumed.
obj.spec.activeDeadline = "1s"
obj.spec.startDeadline = "1s"
return obj
