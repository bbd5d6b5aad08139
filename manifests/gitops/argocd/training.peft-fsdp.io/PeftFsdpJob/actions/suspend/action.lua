-- The pods save a checkpoint and stop; the job stays and can be resumed.
obj.spec.suspend = true
return obj
