"""The one kind of failure that a user is shown."""


class MsmaError(Exception):
    """A failure that the user can mend: one line that names the file and the remedy."""
