"""`python -m peft_fsdp_trainer`: the same as the command `peft-fsdp`, where scripts are not on the path."""

import sys

from .entry import main

sys.exit(main())
