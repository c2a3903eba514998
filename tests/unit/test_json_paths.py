"""Paths into documents: how they are written in each dialect, and read back."""

import pytest

from datajoint.backends.mysql_ddl import create_statement
from datajoint.backends.mysql_paths import path_of_expression
from datajoint.declare import TableName, resolve
from datajoint.errors import DataJointError
from datajoint.grammar import parse_definition, parse_json_path
from datajoint.sql import mysql_json, postgresql_json, sqlite_json
from datajoint.sql.fragment import parse_fragment
from datajoint.sql.json_path import path_text, value_type
from datajoint.sql.mysql import DIALECT as MYSQL
from datajoint.sql.text import SQL, Param, fill
from datajoint.types import Json


def _value(module, path: str) -> str:
    parsed = parse_json_path(path)
    sql = module.json_value(SQL(parsed.attribute), parsed.steps, value_type(parsed.type))
    text, values = sql.compile()
    assert values == ()
    return text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("j.a", '$."a"'),
        ("j[0].b[12]", '$[0]."b"[12]'),
        ("j.é", '$."é"'),
        ("j.a\\b", '$."a\\\\b"'),
        ("j.*", '$."*"'),
    ],
)
def test_path_text(path, text):
    assert path_text(parse_json_path(path).steps) == text


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("", "varchar(65535)"),
        ("char", "varchar(65535)"),
        ("char(20)", "varchar(20)"),
        ("signed", "bigint"),
        ("unsigned", "bigint unsigned"),
        ("float", "double"),
        ("double", "double"),
        ("decimal", "decimal"),
        ("decimal(5, 2)", "decimal(5, 2)"),
        ("date", "date"),
        ("time(3)", "time(3)"),
        ("datetime(6)", "datetime(6)"),
        ("year", "year"),
        ("json", "json"),
    ],
)
def test_value_type(text, type_):
    assert value_type(text).text == type_


@pytest.mark.parametrize(
    "text", ["int", "text", "unsigned(3)", "decimal(99)", "time(9)", "longblob"]
)
def test_value_types_that_are_none(text):
    with pytest.raises(DataJointError):
        value_type(text)


def test_json_on_sqlite():
    assert _value(sqlite_json, "j.a.b[0]:json") == """NULLIF((j -> '$."a"."b"[0]'), 'null')"""
    assert _value(sqlite_json, "j.a") == (
        """CASE WHEN json_type(j, '$."a"') = 'text' THEN (j ->> '$."a"') WHEN """
        """json_type(j, '$."a"') IN ('integer', 'real', 'true', 'false') THEN (j -> '$."a"') END"""
    )


def test_json_on_mysql():
    assert _value(mysql_json, "j.a.b:json") == (
        """CASE WHEN JSON_TYPE(JSON_EXTRACT(j, '$."a"."b"')) <> 'NULL' """
        """THEN JSON_EXTRACT(j, '$."a"."b"') END"""
    )
    # the servers take what is no array for its own first member
    assert _value(mysql_json, "j.a[0]:json").endswith(
        """THEN CASE WHEN JSON_TYPE(JSON_EXTRACT(j, '$."a"')) = 'ARRAY' """
        """THEN JSON_EXTRACT(j, '$."a"[0]') END END"""
    )
    assert "'$.\"a\\\\\\\\b\"'" in _value(mysql_json, "j.a\\b")  # in JSON, and in a literal


def test_json_on_postgresql():
    assert _value(postgresql_json, "j.a[0]:json") == (
        """NULLIF(jsonb_path_query_first(j, 'strict $."a"[0]', '{}', true), 'null')"""
    )


@pytest.mark.parametrize("module", [sqlite_json, mysql_json, postgresql_json])
def test_equality_binds_the_document(module):
    text, values = module.json_equals(SQL("j"), "a */ b").compile()
    assert values == ("a */ b",)
    assert "a */ b" not in text


def test_no_value_stands_in_a_comment_of_mysql():
    """What ends a comment would end it inside of a value, too, where the server skips it."""
    text, _ = mysql_json.json_equals(SQL("j"), "x").compile()
    outside = [part.split("*/")[-1] for part in text.split("/*")]
    assert "".join(outside).count("?") == 1
    assert "".join(outside).split() == ["j", "IS", "NOT", "NULL", "AND", "j", "?"]


def test_fill():
    filled = fill("{a} + {b} [0-9]{4} {a}", a=Param(1), b="x")
    assert filled.compile() == ("? + x [0-9]{4} ?", (1, 1))


@pytest.mark.parametrize(
    ("fragment", "text"),
    [
        ("j->'$.a' > 5", "JSON_EXTRACT(`j`, '$.a') > 5"),
        (
            'j ->> "$.a" = 5',
            '(JSON_UNQUOTE(JSON_EXTRACT(`j`, "$.a")) COLLATE utf8mb4_general_ci) = 5',
        ),
        (
            "j->>'$.a' = '->>'",
            "(JSON_UNQUOTE(JSON_EXTRACT(`j`, '$.a')) COLLATE utf8mb4_general_ci) = '->>'",
        ),
        ("a = '->' and b", "`a` = '->' and `b`"),
        (
            "j->'$.a' + k->'$.b'",
            "JSON_EXTRACT(`j`, '$.a') + JSON_EXTRACT(`k`, '$.b')",
        ),
    ],
)
def test_operators_on_mysql(fragment, text):
    written = MYSQL.fragment(parse_fragment(fragment), lambda name: SQL(MYSQL.quote(name)), {})
    assert str(written) == text


# -- indexes on MySQL and MariaDB -----------------------------------------------------------------


def _create(*, functional_keys: bool) -> str:
    definition = parse_definition(
        """
        id : int
        ---
        j : json
        b : int
        index (j.a[0].b:unsigned, b)
        unique index (j.name)
        """
    )
    spec = resolve(definition, TableName("lab", "t"), lambda reference: None)
    return create_statement(spec, functional_keys=functional_keys)


def test_functional_keys():
    text = _create(functional_keys=True)
    assert (
        "INDEX ((json_value(`j`, _utf8mb4'$.a[0].b' returning unsigned)), `b`),\n"
        "UNIQUE INDEX ((json_value(`j`, _utf8mb4'$.name')))\n" in text
    )
    assert "GENERATED" not in text


def test_hidden_columns():
    text = _create(functional_keys=False)
    assert "json_value" not in text
    assert text.count(" GENERATED ALWAYS AS (") == 2
    assert " VIRTUAL COMMENT 'j.a[0].b:unsigned',\n" in text
    assert " VIRTUAL COMMENT 'j.name',\n" in text
    assert "`_path_" in text.split("INDEX (")[1]


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ("json_value(`j`, _utf8mb4'$.a[0].b' returning unsigned)", "j.a[0].b:unsigned"),
        (r"json_value(`j`,_utf8mb4\'$.a\' returning decimal(5,2))", "j.a:decimal(5,2)"),
        ("(json_value(`j`, _utf8mb4'$.a'))", "j.a"),
        (r"json_value(`j`, _utf8mb4\'$.\"a\"\' returning char(20))", None),
        ("lower(`j`)", None),
    ],
)
def test_expressions_that_mysql_indexes(expression, path):
    assert path_of_expression(expression) == path


# -- documents ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None, True]}, '{"a": [1, null, true]}'),
        ("é😀", '"é😀"'),
        (1e20, "100000000000000000000.0"),
        (-2.5e-7, "-0.00000025"),
        (["1e+20", 1e20, "\\", 1e-5], '["1e+20", 100000000000000000000.0, "\\\\", 0.00001]'),
        (0.1, "0.1"),
        ("\\u0000", '"\\\\u0000"'),
    ],
)
def test_documents_are_written_without_exponents(value, text):
    assert Json("json").encode(value) == text
