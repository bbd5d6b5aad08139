"""From the PEFT + FSDP guide to a job: `peft-fsdp convert`.

`script_flags` and `accelerate_keys` are the two tables: what each flag and key means in a job, or why nothing in a job
stands for it. docs/from-the-guide.md shows the same tables and a test compares them.
"""
