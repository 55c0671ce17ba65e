"""Errors that a user can mend. Commands print them in one line, without a traceback."""


class UserError(Exception):
    """Wrong settings, data or files; the message says what was expected and what came.

    Attributes:
      exit_code: of a command that ends with it.
    """

    exit_code = 1


class SettingsError(UserError, ValueError):
    """Settings that are wrong or contradict each other; the message names the flags."""
