"""The one exception a user's mistake raises."""


class UserError(ValueError):
    """A mistake the user can mend: one sentence with what was wrong, the value, and the way out."""
