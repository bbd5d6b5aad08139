"""`python -m tests.gpu_check`: this trainer beside the guide's script, on the GPUs of this machine, in one go.

Both get the guide's own flags and Accelerate file on the same random Llama and the same conversations. Without a GPU
only `--device cpu --tiny` runs, which checks the logic and measures nothing.
"""
