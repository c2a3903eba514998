"""Fragments of SQL written by users: what is known of them without any database."""

import pytest
import sqlglot

from datajoint.errors import QuerySyntaxError
from datajoint.grammar import parse_type
from datajoint.sql import fragment as module
from datajoint.sql.fragment import parse_fragment
from datajoint.sql.sqlite import DIALECT
from datajoint.sql.text import SQL

TYPES = {
    name: parse_type(text)
    for name, text in {
        "i": "int",
        "f": "float",
        "q": "decimal(8,2)",
        "d": "date",
        "t": "datetime",
        "t6": "datetime(6)",
        "ts": "timestamp",
        "tm": "time",
        "s": "varchar(40)",
        "e": "enum('L', 'R')",
        "b": "bool",
        "y": "year",
        "u": "uuid",
    }.items()
}


def written(text):
    """Write a fragment for SQLite: the text, and the values that are bound to it."""
    sql = DIALECT.fragment(parse_fragment(text), lambda name: SQL(DIALECT.quote(name)), TYPES)
    return sql.compile()


# -- what a fragment uses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a", ("a",)),
        ("a > 5", ("a",)),
        ("5 > a", ("a",)),
        ("a + b * a", ("a", "b")),
        ("b + a", ("b", "a")),
        ("`a` = `b_2`", ("a", "b_2")),
        ("max(a) - min(b)", ("a", "b")),
        ("count(*)", ()),
        ("count(distinct a)", ("a",)),
        ("a IS NULL OR b IS NOT NULL", ("a", "b")),
        ("a in (1, b)", ("a", "b")),
        ("a between b and c", ("a", "b", "c")),
        ("case when a then b else c end", ("a", "b", "c")),
        ("if(a > 1, b, 'c')", ("a", "b")),
        ("\"a\" = 'b'", ()),
        ('concat(a, "b", `c`)', ("a", "c")),
        ("a + interval 1 day", ("a",)),
        ("datediff(a, b)", ("a", "b")),
        ("date_add(a, interval b day)", ("a", "b")),
        ('group_concat(distinct a order by b separator ", ")', ("a", "b")),
        ("cast(a as signed)", ("a",)),
        ("extract(year from a)", ("a",)),
        ("now()", ()),
        ("rand()", ()),
        ("NULL", ()),
        ("true", ()),
        ("a like '%b%'", ("a",)),
        ("not a", ("a",)),
        ("a\n  + b", ("a", "b")),
        ("a /* b */ + c", ("a", "c")),
        ("a = 1 -- b", ("a",)),
    ],
)
def test_names(text, names):
    assert parse_fragment(text).names == names


#: Attribute names that are keywords somewhere, and plain identifiers in MySQL.
KEYWORDS = """
    date time timestamp year month day hour minute second week quarter datetime user session
    status name type comment position description start end value text filter current view
    format columns percent version unit data hash count sum min max avg std variance row
    action begin cache channel checksum color connection content db depth device directory
    duration enable engine escape event execute exchange file first frame full function global
    hosts image index_id input instance label language last level list local location map
    master members memory message mode model module names national next no none notes number
    object offline online only open options outcome owner page parent password path phase plan
    point port profile query quick radius region reset result role roi run sample savepoint
    score sequence serial server share side signal size snapshot source stage stats stimulus
    stop storage stream string subject tables target temperature template threshold title total
    track transaction transform trial unknown uuid valid variables wait weight width window work
    zone top fields struct json kind scale bit pi rand bool boolean some
"""


@pytest.mark.parametrize("name", KEYWORDS.split())
def test_attributes_called_as_keywords(name):
    for text in (
        f"{name} = 1",
        f"1 < {name}",
        f"{name}",
        f"({name})",
        f"not {name}",
        f"{name} is null",
        f"{name} in (1, 2)",
        f"{name} between 1 and 2",
        f"max({name})",
        f'concat({name}, "a")',
    ):
        assert parse_fragment(text).names == (name,), text


@pytest.mark.parametrize(
    ("text", "aggregates"),
    [
        ("count(*)", True),
        ("sum(a = 1)", True),
        ("max(a) - min(b)", True),
        ("avg(a) > 5", True),
        ("std(a)", True),
        ("variance(a)", True),
        ("group_concat(a)", True),
        ("round(sum(a), 2)", True),
        ("a", False),
        ("greatest(a, b)", False),
        ("least(a, b)", False),
        ("ifnull(a, 0)", False),
        ("concat(a)", False),
        ('a = "sum(b)"', False),
        ("count", False),
        ("sum(a) over (partition by b)", False),
    ],
)
def test_aggregates(text, aggregates):
    assert parse_fragment(text).aggregates is aggregates


@pytest.mark.parametrize(
    ("text", "volatile"),
    [
        ("rand()", True),
        ("RAND() < 0.5", True),
        ("floor(rand() * a)", True),
        ("uuid()", True),
        ("a", False),
        ("now()", False),
        ('a = "rand()"', False),
        ("rand = 1", False),
    ],
)
def test_volatile(text, volatile):
    assert parse_fragment(text).volatile is volatile


# -- literals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'abc'", "abc"),
        ('"abc"', "abc"),
        ("''", ""),
        ('""', ""),
        ("'it''s'", "it's"),
        ('"it\'s"', "it's"),
        ("\"it''s\"", "it''s"),
        ('"say ""hi"""', 'say "hi"'),
        ("'say \"hi\"'", 'say "hi"'),
        ('\'say ""hi""\'', 'say ""hi""'),
        (r"'it\'s'", "it's"),
        (r'"say \"hi\""', 'say "hi"'),
        (r"'a\nb\tc\rd'", "a\nb\tc\rd"),
        (r"'a\\b'", "a\\b"),
        (r"'a\\nb'", "a\\nb"),
        (r"'\0\b\Z'", "\0\b\x1a"),
        (r"'a\b\c'", "a\bc"),
        (r"'\%\_'", "\\%\\_"),
        (r"'\x'", "x"),
        (r"'\\'", "\\"),
        (r"'\\\''", "\\'"),
        ("'Ωé😀'", "Ωé😀"),
        ("'-- no comment'", "-- no comment"),
        ("'/* no comment */'", "/* no comment */"),
        ("'a # b; c ? %s :d'", "a # b; c ? %s :d"),
        ("'`a`'", "`a`"),
        ("'line 1\nline 2'", "line 1\nline 2"),
        ("5", 5),
        ("05", 5),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1.5E-3", 0.0015),
        ("9223372036854775807", 9223372036854775807),
    ],
)
def test_literals(literal, value):
    for text in (f"s = {literal}", f"{literal} = s", f"s in ({literal})", f"ifnull(s, {literal})"):
        (found,) = parse_fragment(text).literals
        assert (type(found), found) == (type(value), value)


def test_literals_in_their_order():
    fragment = parse_fragment("a1 = 5 and `b 2` like '%x%' or c in (1.5, \"y\") and d3_4 > -7")
    assert fragment.literals == (5, "%x%", 1.5, "y", 7)
    assert fragment.names == ("a1", "b 2", "c", "d3_4")
    assert fragment.text == "a1 = 5 and `b 2` like '%x%' or c in (1.5, \"y\") and d3_4 > -7"


@pytest.mark.parametrize(
    ("text", "sql", "values"),
    [
        ("i > 5", '"i" > ?', (5,)),
        ("i > -5", '"i" > -?', (5,)),
        ('s = "x"', '"s" = ?', ("x",)),
        ('i in (1, 2) and s != "y"', '"i" IN (?, ?) AND "s" <> ?', (1, 2, "y")),
        ("i between 1 and 2", '"i" BETWEEN ? AND ?', (1, 2)),
        ("i + 1", '"i" + ?', (1,)),
        ("i = 1 or i = 1", '"i" = ? OR "i" = ?', (1, 1)),
    ],
)
def test_literals_are_bound(text, sql, values):
    assert written(text) == (sql, values)


@pytest.mark.parametrize(
    "text",
    [
        """s = "'; drop table x; --" """,
        """s = 'x" or "1" = "1'""",
        r"""s = 'x\' or 1 = 1 -- '""",
        """s like "%';%" """,
        """s in ("a'b", 'c"d')""",
        """ifnull(s, "a'b")""",
        """if(b, "a'b", 'c"d')""",
    ],
)
def test_no_string_reaches_the_text(text):
    sql, values = written(text)
    assert values
    assert not set("'\";-") & set(sql.replace('"s"', "").replace('"b"', "").replace("'\\'", ""))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('d > "2020-1-2"', ("2020-01-02",)),
        ('"2020-1-2" < d', ("2020-01-02",)),
        ('d = "2020/01/02"', ("2020-01-02",)),
        ('d in ("2020-1-2", "2020-1-3")', ("2020-01-02", "2020-01-03")),
        ('d between "2020-1-2" and "2020-1-3"', ("2020-01-02", "2020-01-03")),
        ('d < "2020-01-02 12:00"', ("2020-01-02 12:00:00.000000",)),
        ('d = "2020-01-02 00:00:00"', ("2020-01-02",)),
        ('t > "2020-1-2"', ("2020-01-02 00:00:00",)),
        ('t = "2020-01-02T03:04:05"', ("2020-01-02 03:04:05",)),
        ('t = "2020-01-02 03:04:05.5"', ("2020-01-02 03:04:05.500000",)),
        ('t6 = "2020-01-02 03:04:05.5"', ("2020-01-02 03:04:05.500000",)),
        ('t6 = "2020-01-02"', ("2020-01-02 00:00:00.000000",)),
        ('ts > "2020-1-2"', ("2020-01-02 00:00:00",)),
        ('date(t) = "2020-1-2"', ("2020-01-02",)),
        ('max(d) = "2020-1-2"', ("2020-01-02",)),
        ('tm > "3:4:5"', ("03:04:05",)),
        ('tm > "10:00"', ("10:00:00",)),
        ('i = "7"', (7,)),
        ('i = "7.5"', (7.5,)),
        ('f = "1.5"', (1.5,)),
        ('y = "2020"', (2020,)),
        ('b = "1"', (1,)),
        ('s = "2020-1-2"', ("2020-1-2",)),
        ('s = "7"', ("7",)),
        ('e = "7"', ("7",)),
        ('d = "soon"', ("soon",)),
    ],
)
def test_literals_take_the_form_of_what_they_are_compared_with(text, values):
    found = written(text)[1]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


# -- the cache ------------------------------------------------------------------------------------


@pytest.fixture
def parses(monkeypatch):
    """Collect the texts that sqlglot parses; none was parsed before."""
    texts = []
    parse = sqlglot.parse

    def counting(text, *args, **kwargs):
        texts.append(text)
        return parse(text, *args, **kwargs)

    monkeypatch.setattr(sqlglot, "parse", counting)
    monkeypatch.setattr(module, "_fixed_literals", {})
    monkeypatch.setattr(module, "_shapes", {})
    return texts


def test_one_shape_is_parsed_once(parses):
    for i in range(100):
        fragment = parse_fragment(f"subject_id = {i} and name = 'n{i}'")
        assert fragment.literals == (i, f"n{i}")
        assert fragment.names == ("subject_id", "name")
    assert len(parses) == 1


@pytest.mark.parametrize(
    "form",
    [
        "a > {}",
        "a in ({}, {})",
        "a between {} and {}",
        "a + {} > {} * b",
        "-{} < a",
        "ifnull(a, {}) = {}",
        "if(a = {}, {}, {})",
        "case when a = {} then {} else {} end",
        "(a = {}) or (b = {})",
    ],
)
def test_plain_literals_share_a_shape(parses, form):
    count = form.count("{}")
    for i in range(5):
        fragment = parse_fragment(form.format(*range(i, i + count)))
        assert fragment.literals == tuple(range(i, i + count))
    assert len(parses) == 1


def test_kinds_of_literals_have_shapes_of_their_own(parses):
    for text in ("a = 1", "a = 1.5", "a = '1'", 'a = "1"', "a = 2", "a = 2.5", "a = '2'"):
        parse_fragment(text)
    assert len(parses) == 3


def test_literals_that_the_translation_depends_on(parses):
    texts = [
        "round(a, 1)",
        "round(a, 2)",
        "a + interval 1 day",
        "a + interval 2 day",
        "cast(a as decimal(5,1))",
        "cast(a as decimal(5,2))",
        'date_format(a, "%Y")',
        'date_format(a, "%m")',
    ]
    for text in texts * 3:
        parse_fragment(text)
    assert len(parses) == len(texts)


def test_a_shape_keeps_no_literal_of_another_text(parses):
    first, second = parse_fragment("round(a, 1) > 5"), parse_fragment("round(a, 2) > 6")
    assert first.literals == (1, 5)
    assert second.literals == (2, 6)
    types = {"a": parse_type("double")}

    def sql(fragment):
        return DIALECT.fragment(fragment, lambda name: SQL(DIALECT.quote(name)), types).compile()

    assert "1" in sql(first)[0]
    assert "2" in sql(second)[0]
    assert (sql(first)[1], sql(second)[1]) == ((5,), (6,))
    assert sql(parse_fragment("round(a, 1) > 7")) == (sql(first)[0], (7,))
    assert len(parses) == 2


def test_errors_are_not_cached(parses):
    for _ in range(2):
        with pytest.raises(QuerySyntaxError):
            parse_fragment("a = = 1")
    assert len(parses) == 2


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("i >", 2),
        ("i > 3 and", 6),
        ("a or or b", 5),
        ("a = = 3", 4),
        ("a)", 1),
        ("(a", 1),
        ("count(*", 6),
        ('s = "abc" and and i = 1', 14),
        ("i = 123456 and and i = 1", 15),
        ("case when a then 1", 17),
        ("select 1", 0),
        ("drop table x", 0),
    ],
)
def test_carets(text, column):
    with pytest.raises(QuerySyntaxError) as error:
        parse_fragment(text)
    first, second, third = str(error.value).split("\n")
    assert first.startswith("The SQL expression is not valid (")
    assert first.endswith("):")
    assert second == f"    {text}"
    assert third == " " * (4 + column) + "^"


@pytest.mark.parametrize("text", ['s = "x', "it's", "a\n= \n= 3", "s = 'a\\'"])
def test_errors_without_a_place(text):
    with pytest.raises(QuerySyntaxError) as error:
        parse_fragment(text)
    assert str(error.value).startswith("The SQL expression is not valid (")
    assert str(error.value).endswith(f"):\n    {text}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "-- a",
        "a, b",
        "a; b",
        "1; select 2",
        "a where b",
        "a from b",
        "a from b where c",
        "a limit 1",
        "a order by a",
        "a group by a",
        "a having b",
        "distinct a",
        "*",
        "a into outfile 'x'",
        "a union select 1",
    ],
)
def test_more_or_less_than_one_expression(text):
    with pytest.raises(QuerySyntaxError) as error:
        parse_fragment(text)
    assert "xpression" in str(error.value)
    assert text in str(error.value)


@pytest.mark.parametrize("text", ["a b", "a as b", "a @ b", 'a "b"', "5 a"])
def test_missing_operator(text):
    with pytest.raises(QuerySyntaxError) as error:
        parse_fragment(text)
    assert str(error.value) == (
        f"Expected one SQL expression, found {text!r}; an operator is missing"
    )


@pytest.mark.parametrize("text", ["a = ?", "a = :x", "a = %s", "a = %(x)s", "a = ? and b = 5"])
def test_placeholders_are_no_values(text):
    with pytest.raises(QuerySyntaxError):
        parse_fragment(text)


def test_deep_nesting():
    text = "(" * 50_000 + "a" + ")" * 50_000
    with pytest.raises(QuerySyntaxError, match="nests too deeply"):
        parse_fragment(text)


def test_many_terms():
    fragment = parse_fragment(" or ".join(f"a = {i}" for i in range(150)))
    assert fragment.literals == tuple(range(150))


# -- types of results -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "category"),
    [
        # attributes and literals
        *((name, type_.category) for name, type_ in TYPES.items()),
        ("5", "integer"),
        ("1.5", "float"),
        ('"x"', "string"),
        # the same as the argument
        ("(i)", "integer"),
        ("-q", "decimal"),
        ("abs(q)", "decimal"),
        ("max(d)", "date"),
        ("min(t6)", "datetime"),
        ("max(tm)", "time"),
        ("min(e)", "enum"),
        ("max(u)", "uuid"),
        ("ifnull(q, 0)", "decimal"),
        ("coalesce(NULL, d)", "date"),
        ("coalesce(NULL, NULL, s)", "string"),
        ("greatest(i, 3)", "integer"),
        ("least(d, d)", "date"),
        ("nullif(d, d)", "date"),
        ("if(b, d, NULL)", "date"),
        ("if(b, NULL, d)", "date"),
        ("case when b then NULL else tm end", "time"),
        ("case when b then q end", "decimal"),
        # numbers
        ("count(*)", "integer"),
        ("i > 0", "integer"),
        ("not b", "integer"),
        ("i is null", "integer"),
        ("i in (1, 2)", "integer"),
        ("b and i", "integer"),
        ("true", "integer"),
        ("i + 1", "integer"),
        ("i * y", "integer"),
        ("i + f", "float"),
        ("i / 2", "float"),
        ("i div 2", "integer"),
        ("i % 3", "integer"),
        ("sum(i)", "integer"),
        ("sum(f)", "float"),
        ("sum(e = 'L')", "integer"),
        ("avg(i)", "float"),
        ("std(i)", "float"),
        ("variance(i)", "float"),
        ("rand()", "float"),
        ("round(f)", "float"),
        ("round(i)", "integer"),
        ("floor(f)", "integer"),
        ("ceil(f)", "integer"),
        ("sqrt(i)", "float"),
        ("length(s)", "integer"),
        ("year(d)", "integer"),
        ("weekday(d)", "integer"),
        ("dayofweek(d)", "integer"),
        ("datediff(d, d)", "integer"),
        ("timestampdiff(second, t, t)", "integer"),
        ("unix_timestamp(t)", "integer"),
        ("cast(s as signed)", "integer"),
        ("cast(s as unsigned)", "integer"),
        ("cast(s as double)", "float"),
        ("cast(s as decimal(5,2))", "decimal"),
        # dates and times
        ("date(t)", "date"),
        ("curdate()", "date"),
        ("cast(t as date)", "date"),
        ("cast(d as datetime)", "datetime"),
        ("cast(t as time)", "time"),
        ("time(t)", "time"),
        ("timestamp(d)", "datetime"),
        ("now()", "datetime"),
        ("utc_timestamp()", "datetime"),
        ("timediff(t, t)", "time"),
        ("d + interval 1 day", "date"),
        ("interval 1 day + d", "date"),
        ("d - interval 2 month", "date"),
        ("d + interval 1 hour", "datetime"),
        ("t + interval 1 day", "datetime"),
        ("tm + interval 1 minute", "time"),
        ("date_add(d, interval 1 week)", "date"),
        ("date_sub(d, interval 1 second)", "datetime"),
        ("date_add(t, interval 1 month)", "datetime"),
        ("last_day(t)", "date"),
        ("from_unixtime(i)", "datetime"),
        ("max(d) - interval 1 year", "date"),
        # strings
        ("concat(i, s)", "string"),
        ("upper(s)", "string"),
        ("left(s, 2)", "string"),
        ("substring(s, 1, 2)", "string"),
        ("replace(s, 'a', 'b')", "string"),
        ("group_concat(i)", "string"),
        ('date_format(d, "%Y")', "string"),
        ("cast(i as char)", "string"),
    ],
)
def test_result_types(text, category):
    found = parse_fragment(text).result_type(TYPES)
    assert found is not None
    assert found.category == category


@pytest.mark.parametrize("text", ["NULL", "unknown", "max(unknown)", "frobnicate(i)"])
def test_results_of_unknown_type(text):
    assert parse_fragment(text).result_type(TYPES) is None


def test_digits_of_seconds_are_kept():
    assert parse_fragment("max(t6)").result_type(TYPES) == TYPES["t6"]
    # what functions give has a fraction only if there is one
    assert parse_fragment("t6 + interval 1 day").result_type(TYPES).category == "datetime"
