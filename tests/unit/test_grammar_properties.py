"""Properties of the grammar: any text is read or refused; what is written from a model is read."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datajoint.errors import DataJointError
from datajoint.grammar import (
    AttributeLine,
    ForeignKeyLine,
    IndexLine,
    JsonPath,
    Line,
    Reference,
    parse_definition,
    parse_json_path,
    parse_type,
    quoted,
    unquote,
)

from .definitions import failure

#: Texts in which the marks of the language are frequent.
TEXTS = (
    st.text()
    | st.text("ab 'int\"`\\#:=->_.,()[]<>@05\n\té")
    | st.lists(
        st.sampled_from(
            [
                "a",
                " ",
                "\n",
                "---",
                "->",
                ":",
                "=",
                "#",
                "'",
                '"',
                "\\",
                "(",
                ")",
                "[",
                "]",
                ",",
                ".",
                "`",
                "int",
                "enum",
                "varchar",
                "decimal",
                "blob",
                "@",
                "<",
                ">",
                "null",
                "index",
                "unique",
                "5",
                "proj",
                "nullable",
                "auto_increment",
                "serial",
                "...",
                "0" * 5000,
                "\u017f",
                "İ",
                "²",
                "٢",
                "\x00",
            ]
        )
    ).map("".join)
)


@given(TEXTS)
def test_any_text_parses_or_is_refused(text):
    for parse in (parse_definition, parse_type, parse_json_path):
        with suppress(DataJointError):
            parse(text)


@given(TEXTS.map(lambda text: text.replace("\n", " ").strip()))
def test_errors_show_the_line(text):
    try:
        parse_definition(f"a : int\n---\n{text}")
    except DataJointError:
        number, under, message = failure(f"a : int\n---\n{text}")
        assert number == 3
        assert text.endswith(under)
        assert message


@pytest.mark.parametrize(
    "unit", ["'", '"', "''", "\\", "'\\", "(", "((", "[", "<", "`", " ", "a", "0"]
)
@pytest.mark.parametrize(
    "start",
    [
        "",
        "a",
        "a : ",
        "a = ",
        "a : enum(",
        "a : enum('",
        "a : varchar(",
        "a : <",
        "-> ",
        "-> [",
        "-> `",
        "-> A.proj(",
        "-> A.proj(a='",
        "index (",
        "index (a",
        "index (a[",
        "index (a.b:x",
        "(",
        "# ",
    ],
)
def test_long_lines(start, unit):
    # What grows faster than the line would take hours.
    for text in (start + unit * 10_000, start + unit * 10_000 + "!"):
        for parse in (parse_definition, parse_type, parse_json_path):
            with suppress(DataJointError):
                parse(text)


@given(st.text())
def test_strings_are_read_as_they_were_written(value):
    text = quoted(value)
    assert "\n" not in text
    assert unquote(text) == value
    assert unquote("'" + value.replace("\\", "\\\\").replace("'", "''") + "'") == value


NAMES = st.text("az09_", max_size=63).map("a{}".format)
IDENTIFIERS = st.text("aZ9_é", max_size=9).map("T{}".format)
KEYS = st.from_regex(r"[^\s.,:()\[\]#'\"`]+", fullmatch=True)
JSON_TYPES = st.sampled_from(["", "int", "unsigned", "varchar(10)", "decimal(10, 2)"])
PATHS = st.builds(
    JsonPath,
    NAMES,
    st.lists(KEYS | st.integers(0, 10**9 - 1), min_size=1, max_size=4).map(tuple),
    JSON_TYPES,
)


@given(PATHS)
def test_json_paths_are_read_as_they_are_written(path):
    assert parse_json_path(str(path)) == path


def in_any_case(word):
    return st.tuples(*(st.sampled_from((c.lower(), c.upper())) for c in word)).map("".join)


def between(*parts):
    """Write parts with blanks between them."""
    blanks = st.sampled_from(["", " ", "\t", "   "])
    return st.tuples(*(piece for part in parts for piece in (blanks, part))).map("".join)


def fixed(*texts):
    return [text if isinstance(text, st.SearchStrategy) else st.just(text) for text in texts]


COMMENTS = st.text(st.characters(blacklist_characters="\n", blacklist_categories=["Cs"])).map(
    lambda text: text.strip().rstrip("#").strip().lstrip(":").strip()
)
WRITTEN_TYPES = st.sampled_from(
    [
        "int",
        "bigint unsigned",
        "decimal ( 5 , 2 )",
        "varchar (30)",
        "enum('#', \"it's : 'x'\")",
        "uuid",
        "datetime(6)",
        "longblob",
        "blob@my-store",
        "attach",
        "<graph>",
        "json",
        "DOUBLE(7,3)",
        "Float",
    ]
)
DEFAULTS = (
    st.none()
    | st.sampled_from(["null", "NULL", "-1.", ".5", "CURRENT_TIMESTAMP(6)", "''", "false", "a b"])
    | st.text().map(quoted)
)
BLANKS = st.sampled_from(["", " ", "\t", "   "])


@st.composite
def attributes(draw):
    name, default, type_, comment = draw(NAMES), draw(DEFAULTS), draw(WRITTEN_TYPES), draw(COMMENTS)
    middle = [":"] if default is None else ["=", default, ":"]
    tail = [f"#{draw(BLANKS)}{comment}"] if comment or draw(st.booleans()) else []
    text = draw(between(*fixed(name, *middle, type_, *tail)))
    return text, AttributeLine(name, default, parse_type(type_), False, comment, LINE)


@st.composite
def foreign_keys(draw):
    options = draw(st.lists(st.sampled_from(["nullable", "unique"]), max_size=3))
    written = [draw(between(in_any_case(option))) for option in options]
    brackets = [f"[{','.join(written)}]"] if options or draw(st.booleans()) else []
    literal = draw(st.booleans())
    path = draw(
        st.lists(IDENTIFIERS, min_size=2, max_size=2)
        if literal
        else st.lists(IDENTIFIERS, min_size=1, max_size=4)
    )
    table = (
        draw(between(*fixed(*" . ".join(f"`{x}`" for x in path).split())))
        if literal
        else ".".join(path)
    )
    renames = draw(
        st.dictionaries(NAMES, NAMES, max_size=3).filter(lambda d: len(set(d.values())) == len(d))
    )
    pairs = [draw(between(*fixed(new, "=", repr(old)))) for new, old in renames.items()]
    projection = [".", "proj", "(", ", ".join(pairs), ")"] if renames else []
    text = draw(between(*fixed("->", *brackets, table, *projection)))
    reference = Reference(tuple(path), tuple(renames.items()), literal)
    return text, ForeignKeyLine(reference, "nullable" in options, "unique" in options, LINE)


@st.composite
def indexes(draw):
    unique = draw(st.booleans())
    items = draw(st.lists(NAMES | PATHS, min_size=1, max_size=3))
    words = draw(in_any_case("index"))
    if unique:
        words = draw(in_any_case("unique")) + draw(BLANKS.filter(bool)) + words
    commas = [piece for item in items for piece in (",", str(item))][1:]
    text = draw(between(*fixed(words, "(", *commas, ")")))
    return text, IndexLine(tuple(map(str, items)), unique, LINE)


LINE = Line("", 0)
WRITTEN = st.lists(attributes() | foreign_keys() | indexes(), max_size=3)


@settings(deadline=None, max_examples=50)
@given(WRITTEN, WRITTEN, COMMENTS, st.sampled_from(["---", "-----", "___", "------ # x"]))
def test_definitions_are_read_as_they_are_written(key, secondary, comment, separator):
    lines = [
        f"# {comment}",
        *(text for text, _ in key),
        separator,
        *(text for text, _ in secondary),
    ]
    parsed = parse_definition("\n".join(lines))
    unplaced = [
        tuple(replace(item, source=LINE) for item in items)
        for items in (parsed.key, parsed.secondary)
    ]
    assert parsed.comment == comment
    assert unplaced == [tuple(item for _, item in key), tuple(item for _, item in secondary)]
