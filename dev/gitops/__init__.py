"""GitOps: a program that asks kstatus and Lua scripts about objects."""
