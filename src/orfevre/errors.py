"""The error tree: what a person can mend is a `UserError`; anything else is our own mistake and may show a traceback.

UserError (a ValueError)   the message names the file or recipe path, the value and the remedy; exit code 2
├── RecipeError            a recipe that does not say what it must
├── InputError             a source, file or record that cannot be used
└── WorkFolderError        a work folder that another version made, that is in use, or that lacks a stage
"""


class UserError(ValueError):
    """Something the user can mend. The message is for people: what, where, and the remedy."""


class RecipeError(UserError):
    """The recipe asks for something that does not exist or cannot be satisfied."""


class InputError(UserError):
    """A source or a file that cannot be read, found or used."""


class WorkFolderError(UserError):
    """The work folder is from another version, in use, incomplete or full."""
