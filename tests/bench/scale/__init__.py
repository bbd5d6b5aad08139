"""Part `scale` of the bench: many jobs, large gangs, storms of failures, on a real control plane with KWOK nodes."""
