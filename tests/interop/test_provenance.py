"""Tables with provenance are ordinary tables for the other client, which keeps none."""

from __future__ import annotations

from .conftest import Sql
from .sides import Here, Incumbent

PIPELINE = """
lab = schema(name)
@lab
class Sample(dj.Manual):
    definition = '''
    sample : int
    ---
    size : int
    '''
@lab
class Area(dj.Computed):
    provenance = True
    definition = '''
    # of samples
    -> Sample
    ---
    area : int
    note = null : varchar(10)
    '''
    class Corner(dj.Part):
        definition = '''
        -> master
        corner : int
        '''
    def make(self, key):
        size = (Sample & key).fetch1('size')
        self.insert1(dict(key, area=size ** 2))
        self.Corner.insert(dict(key, corner=n) for n in range(4))
"""


def test_both_make_and_read(here: Here, incumbent: Incumbent, schema_name: str, sql: Sql) -> None:
    for side in (here, incumbent):
        side.run(PIPELINE, name=schema_name)
    here.run("Sample.insert([(1, 2), (2, 3), (3, 4), (4, 5)])")
    here.run("Area.populate('sample < 3')")
    incumbent.run("Area.populate('sample = 3')")
    incumbent.run("Area.insert1((4, 25, 'by hand'), allow_direct_insert=True)")
    rows = [(1, 4, None), (2, 9, None), (3, 16, None), (4, 25, "by hand")]
    for side in (here, incumbent):
        assert side.value("Area.heading.names") == ["sample", "area", "note"]
        assert "_made" not in side.value("Area.describe()")
        assert "_made" not in side.value("repr(Area())")
        fetched = side.value("[tuple(row.values()) for row in Area.fetch(as_dict=True)]")
        assert [tuple(row) for row in fetched] == rows
        assert side.value("len(Area * Area.Corner * Sample)") == 12
        assert list(side.value("Area.progress(display=False)")) == [0, 4]
    kept = sql(f"SELECT _made_seconds IS NULL FROM `{schema_name}`.`__area` ORDER BY sample")
    assert kept == [(0,), (0,), (1,), (1,)]
    incumbent.run("Sample.update1(dict(sample=1, size=7))")
    incumbent.run("Sample.update1(dict(sample=3, size=7))")
    incumbent.run("Area.update1(dict(sample=2, note='seen'))")
    reason = f"`{schema_name}`.`sample` has changed"
    assert here.value("Area.stale()") == [({"sample": 1}, reason)]
    here.run("done = Area.populate(refresh='stale')")
    assert here.value("done") == {"success_count": 1, "error_list": []}
    for side in (here, incumbent):
        assert side.value("Area.fetch('area', order_by='KEY').tolist()") == [49, 9, 16, 25]
        assert side.value("(Area & 'sample = 2').fetch1('note')") == "seen"
    incumbent.run("(Area & 'sample < 3').delete()")
    assert here.value("len(Area()), len(Area.Corner())") == (2, 4)


def test_altered_by_the_other(here: Here, incumbent: Incumbent, schema_name: str, sql: Sql) -> None:
    """What the other client alters keeps its provenance."""
    for side in (here, incumbent):
        side.run(PIPELINE, name=schema_name)
    here.run("Sample.insert([(1, 2)])\nArea.populate()")
    incumbent.run('Area.definition += "\\nmore = 0 : int"\nArea.alter(prompt=False)')
    assert sql(f"SELECT _made_seconds IS NULL FROM `{schema_name}`.`__area`") == [(0,)]
    here.run("Area.connection.forget_catalog(name)")
    assert here.value("Area.stale()") == []
