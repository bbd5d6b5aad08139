-- New pods continue from the newest checkpoint.
obj.spec.suspend = false
return obj
