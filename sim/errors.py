"""The one exception of this package: something the user gave cannot be used, and how to mend it."""


class InvalidInput(ValueError):
    """Input that is refused: the message says where, what, what is allowed and how to mend it.

    The command line shows the message as one line and exits with code 2.
    """
