"""The stages of a run, as ranks report them, status shows them, and its description lists them."""

from enum import StrEnum


class Stage(StrEnum):
    """What a rank is doing, in the order of a run."""

    START = "start"
    RENDEZVOUS = "rendezvous"
    DOWNLOAD = "download"
    TOKENIZE = "tokenize"
    LOAD = "load"
    TRAIN = "train"
    EVALUATE = "evaluate"
    SAVE = "save"
    EXPORT = "export"
    PUSH = "push"
    DONE = "done"
