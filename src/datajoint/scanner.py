"""Reading a text token by token, and strings between quotes as MySQL writes them."""

from __future__ import annotations

import re

IDENTIFIER = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"[0-9]+")
STRING = re.compile(r"'(?:[^'\\]|\\[\s\S]|'')*'|\"(?:[^\"\\]|\\[\s\S]|\"\")*\"")
#: What MySQL makes of a letter after a backslash; other characters stand for themselves.
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "0": "\0", "Z": "\x1a"}
#: Escapes of patterns, which keep their backslash elsewhere.
_WILDCARDS = {"%": "\\%", "_": "\\_"}


class Unexpected(Exception):
    """Something else was expected at a place of the text."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


class Scanner:
    """Reads tokens from a text, from left to right; blanks before a token are passed over."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.column = 0

    def take(self, token: str | re.Pattern[str]) -> re.Match[str] | None:
        """Read a token if it comes next."""
        pattern = re.compile(re.escape(token)) if isinstance(token, str) else token
        match = pattern.match(self.text, self.next_column)
        if match:
            self.column = match.end()
        return match

    def take_word(self, *words: str) -> str | None:
        """Read one of some words, given in lower case, if it comes next."""
        match = IDENTIFIER.match(self.text, self.next_column)
        if match and match[0].lower() in words:
            self.column = match.end()
            return match[0].lower()
        return None

    def expect(self, token: str | re.Pattern[str], what: str = "") -> re.Match[str]:
        match = self.take(token)
        if match is None:
            raise self.unexpected(f"expected {what or f'`{token}`'}")
        return match

    def string(self, what: str) -> str:
        """Read a string, as it is written between its quotes."""
        match = self.take(STRING)
        if match is None and self.rest[:1] in ("'", '"'):
            raise self.unexpected(f"the quote {self.rest[0]} is not closed")
        if match is None:
            raise self.unexpected(f"expected {what}")
        return match[0]

    def number(self, what: str) -> int:
        digits = self.expect(_NUMBER, what)
        if len(digits[0]) > 9:
            raise Unexpected("the number has more than 9 digits", digits.start())
        return int(digits[0])

    def unexpected(self, message: str) -> Unexpected:
        return Unexpected(message, self.next_column)

    @property
    def next_column(self) -> int:
        """Where the next token begins, if there is one."""
        column = self.column
        while self.text[column : column + 1].isspace():
            column += 1
        return column

    @property
    def rest(self) -> str:
        return self.text[self.next_column :]

    def expect_end(self, hint: str = "") -> str:
        """Read the comment that may follow at the end."""
        rest = self.rest
        if rest[:1] not in ("", "#"):
            raise self.unexpected(hint or "expected the end of the line, or `#` and a comment")
        return rest[1:].rstrip("#").strip()


def unquote(text: str) -> str:
    """Read a string between quotes; any other text stands for itself."""
    if not STRING.fullmatch(text):
        return text
    quote = text[0]

    def replacement(match: re.Match[str]) -> str:
        character = match[1]
        return quote if character is None else (_ESCAPES | _WILDCARDS).get(character, character)

    return re.sub(rf"{quote}{quote}|\\(.)", replacement, text[1:-1], flags=re.DOTALL)


def quoted(value: str) -> str:
    """Write a string as :func:`unquote` reads it, on one line."""
    for character in "\\" + '"':
        value = value.replace(character, f"\\{character}")
    for letter, character in _ESCAPES.items():
        value = value.replace(character, f"\\{letter}")
    return f'"{value}"'
