"""The one way in which dev/cluster and dev/images fail: a sentence that says what to do, printed by cli.py."""


class ClusterError(Exception):
    """Something that the reader of the message can act on."""
