"""A table that one client has altered is as good for the other."""

from __future__ import annotations

from collections.abc import Callable

from .conftest import Pair

DECLARE = '''
lab = schema(name)

@lab
class Probe(dj.Lookup):
    definition = """
    probe : varchar(12)
    """
    contents = [("A",), ("B",)]

@lab
class Sample(dj.Manual):
    definition = """
    # samples
    sample_id : int
    ---
    weight = 1.5 : decimal(6,3)   # g
    name : varchar(20)
    note = null : varchar(100)
    at = "2020-01-02" : date
    -> [nullable] Probe
    """
'''
FILL = """
Sample.insert1(dict(sample_id=1, name="x", note="n", probe="A"))
Sample.insert1(dict(sample_id=2, name="y", weight=2.25))
"""
#: Without an index and a foreign key more, which the other client does not alter.
ALTER = '''
Sample.definition = """
# all samples
sample_id : int
---
at = "2020-01-03" : date
weight = 2 : decimal(8,3)   # mg
full_name = "" : varchar(30)   # {name} it has
-> [nullable] Probe
id = null : uuid    # new
"""
Sample().alter(prompt=False)
'''
ROWS = "Sample.fetch(order_by='sample_id', as_dict=True)"


def test_an_altered_table_is_the_same_for_both(
    pair: Pair, show_create: Callable[[str], dict[str, str]]
) -> None:
    pair.run(DECLARE)
    pair.maker.run(FILL)
    pair.maker.run(ALTER)
    shown = show_create(pair.schema_name)
    pair.user.run(DECLARE, name=pair.schema_name)  # anew, since it knows what the table was
    pair.assert_same("Sample.heading.names")
    pair.assert_same("[a.comment for a in Sample.heading.attributes.values()]")
    rows = pair.assert_same(ROWS)
    assert [row["full_name"] for row in rows] == ["x", "y"]
    assert show_create(pair.schema_name) == shown


def test_what_one_has_altered_the_other_has_not_to(
    pair: Pair, show_create: Callable[[str], dict[str, str]]
) -> None:
    pair.run(DECLARE)
    alter = ALTER.replace("full_name", "name").replace("{name}", "which")  # is not done twice there
    pair.maker.run(alter)
    shown = show_create(pair.schema_name)
    pair.user.run(DECLARE, name=pair.schema_name)
    pair.user.run(alter)
    assert show_create(pair.schema_name) == shown
