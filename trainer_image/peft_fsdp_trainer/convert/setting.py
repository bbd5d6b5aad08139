"""One row of a table: a flag of the guide's script or a key of its Accelerate file."""

from dataclasses import dataclass

from .values import TEXT, Reader


@dataclass(frozen=True)
class Setting:
    """What a flag or key means in a job."""

    name: str
    reader: Reader = TEXT
    fields: tuple[str, ...] = ()
    """Paths below `spec`. None: it has no meaning in a job, and `remark` says why."""
    remark: str = ""
    same_as: str = ""
    """The row whose other name this is."""
    combined: bool = False
    """`rules` makes the fields, from this and other rows; otherwise the value goes into the one field as it is."""
    secret: bool = False
    """The value is never shown."""
    takes_many: bool = False
    """The command line may give several words."""

    @property
    def key(self) -> str:
        """The name under which the value is known, whichever name was written."""
        return self.same_as or self.name
