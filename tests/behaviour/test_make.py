"""How one key is made: in three parts, again after conflicts, after losses and after errors."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest

import datajoint as dj
from datajoint import making
from datajoint.errors import (
    ConflictError,
    DataJointError,
    DuplicateError,
    IntegrityError,
    LostConnectionError,
)

from .relations import assert_rows


@pytest.fixture(autouse=True)
def no_pauses(connection, monkeypatch):
    """Note the pauses instead of making them; the server, which is waited for, runs by then."""
    made = []
    monkeypatch.setattr(making.time, "sleep", made.append)
    return made


@pytest.fixture
def Image(schema):
    @schema
    class Image(dj.Manual):
        definition = """
        image : int
        ---
        pixels : longblob
        factor = 1 : int
        """

    Image.insert((i, np.arange(i), i) for i in (1, 2, 3))
    return Image


def computed(schema, Image, **members):
    """Declare a computed table `Result` of the images, with a total."""
    definition = "-> Image\n---\ntotal : double"
    return schema(type("Result", (dj.Computed,), {"definition": definition, **members}))


TOTALS = [{"image": i, "total": i * (i - 1) / 2 * i} for i in (1, 2, 3)]


class TestThreeParts:
    def three_methods(self, Image, calls):
        def make_fetch(self, key, **options):
            calls.append(("fetch", dict(key), options, self.connection.in_transaction))
            key.clear()
            return (Image & calls[-1][1]).fetch1("pixels", "factor")

        def make_compute(self, key, pixels, factor):
            calls.append(("compute", dict(key), self.connection.in_transaction))
            key.clear()
            pixels *= factor  # what was fetched may be changed
            return (pixels.sum(),)

        def make_insert(self, key, total):
            calls.append(("insert", dict(key), self.connection.in_transaction))
            self.insert1({**key, "total": total})

        return {
            "make_fetch": make_fetch,
            "make_compute": make_compute,
            "make_insert": make_insert,
        }

    def test_three_methods(self, schema, Image):
        calls = []
        Result = computed(schema, Image, **self.three_methods(Image, calls))
        assert Result.populate("image = 1") == {"success_count": 1, "error_list": []}
        assert calls == [
            ("fetch", {"image": 1}, {}, False),
            ("compute", {"image": 1}, False),
            ("fetch", {"image": 1}, {}, True),
            ("insert", {"image": 1}, True),
        ]
        Result.populate()
        assert_rows(Result(), TOTALS)

    def test_arguments_are_for_make_fetch(self, schema, Image):
        calls = []
        Result = computed(schema, Image, **self.three_methods(Image, calls))
        Result.populate("image = 1", make_kwargs={"channel": 2})
        assert [call[2] for call in calls if call[0] == "fetch"] == [{"channel": 2}] * 2

    def test_generator(self, schema, Image):
        states = []

        def make(self, key, **options):
            in_transaction = self.connection.in_transaction
            pixels, factor = (Image & key).fetch1("pixels", "factor")
            total = yield pixels, factor
            if total is None:
                total = (pixels * factor).sum()
                states.append((dict(key), options, in_transaction, "computed"))
                yield total
            self.insert1({**key, "total": total})
            states.append((dict(key), options, in_transaction, "inserted"))
            yield

        Result = computed(schema, Image, make=make)
        assert Result.populate("image = 2", make_kwargs={"channel": 1})["success_count"] == 1
        assert states == [
            ({"image": 2}, {"channel": 1}, False, "computed"),
            ({"image": 2}, {"channel": 1}, True, "inserted"),
        ]
        assert Result.populate()["success_count"] == 2
        assert_rows(Result(), TOTALS)

    def test_generator_that_ends_after_inserting(self, schema, Image):
        def make(self, key):
            pixels, factor = (Image & key).fetch1("pixels", "factor")
            total = yield pixels, factor
            if total is None:
                yield (pixels * factor).sum()
            else:
                self.insert1({**key, "total": total})

        assert computed(schema, Image, make=make).populate()["success_count"] == 3

    def test_generator_that_computes_nothing(self, schema, Image):
        def make(self, key):
            yield (Image & key).fetch1("factor")
            self.insert1({**key, "total": 0})

        Result = computed(schema, Image, make=make)
        with pytest.raises(DataJointError, match="allow_direct_insert"):
            Result.populate()
        assert len(Result()) == 0

    def test_generator_that_computes_what_it_takes_for_nothing(self, schema, Image):
        def make(self, key):
            result = yield (Image & key).fetch1("factor")
            if not result:
                result = []
                yield result
            self.insert1({**key, "total": 0})

        Result = computed(schema, Image, make=make)
        with pytest.raises(DataJointError, match="computed again what it was given"):
            Result.populate()
        assert len(Result()) == 0

    def test_generator_in_a_decorator(self, schema, Image):
        def make(self, key):
            result = yield (Image & key).fetch1("factor")
            if result is None:
                yield None
            self.insert1({**key, "total": 0})

        def decorated(self, key):
            return (yield from make(self, key))

        Result = computed(schema, Image, make=decorated)
        with pytest.raises(DataJointError, match="computed again what it was given"):
            Result.populate()

    def test_asynchronous(self, schema, Image):
        async def make(self, key):
            self.insert1({**key, "total": 0})

        Result = computed(schema, Image, make=make)
        with pytest.raises(DataJointError, match="is asynchronous"):
            Result.populate()

    @pytest.mark.parametrize(
        ("fetch", "compute", "text"),
        [
            (lambda self, key: 5, lambda self, key, x: (x,), "`make_fetch` .* not int"),
            (lambda self, key: "ab", lambda self, key, x, y: (x,), "`make_fetch` .* not str"),
            (lambda self, key: (5,), lambda self, key, x: None, "`make_compute` .* not NoneType"),
        ],
    )
    def test_parts_that_return_no_arguments(self, schema, Image, fetch, compute, text):
        def insert(self, key, total):
            self.insert1({**key, "total": total})

        parts = {"make_fetch": fetch, "make_compute": compute, "make_insert": insert}
        Result = computed(schema, Image, **parts)
        with pytest.raises(DataJointError, match=text):
            Result.populate()

    def test_generator_without_a_second_yield(self, schema, Image):
        def make(self, key):
            yield (Image & key).fetch1("factor")

        with pytest.raises(DataJointError, match="before it yielded what it computed"):
            computed(schema, Image, make=make).populate()

    def test_a_generator_that_nobody_runs(self, schema, Image):
        def make(self, key):
            return (self.insert1({**key, "total": i}) for i in range(1))

        with pytest.raises(DataJointError, match="returned a generator"):
            computed(schema, Image, make=make).populate()

    def test_parts_of_another_class(self, schema, Image):
        calls = []
        Result = computed(schema, Image, **self.three_methods(Image, calls))

        @schema
        class Doubled(dj.Computed):
            definition = "-> Image\n---\ntotal : double"

            def make_fetch(self, key):
                return Result.make_fetch(self, key)

            def make_compute(self, key, *fetched):
                return [2 * total for total in Result.make_compute(self, key, *fetched)]

            def make_insert(self, key, total):
                Result.make_insert(self, key, total)

        Doubled.populate()
        assert_rows(Doubled(), [{**row, "total": 2 * row["total"]} for row in TOTALS])

    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_other_tables_are_populated_while_it_computes(self, schema, Image, reserve_jobs):
        calls = []
        Result = computed(schema, Image, **self.three_methods(Image, calls))

        @schema
        class Last(dj.Computed):
            definition = "-> Image\n---\ntotal : double"

            def make_fetch(self, key):
                return (key["image"],)

            def make_compute(self, key, image):
                Result.populate(key, reserve_jobs=reserve_jobs)
                return (Result & key).fetch("total")

            def make_insert(self, key, total):
                self.insert1({**key, "total": total})

        assert Last.populate(reserve_jobs=reserve_jobs)["success_count"] == 3
        assert_rows(Last(), TOTALS)
        assert len(schema.jobs) == 0

    @pytest.mark.parametrize("change", ["value", "row", "nested"])
    def test_changed_input(self, schema, Image, connect, change):
        other = dj.FreeTable(connect(), Image.full_table_name)

        def make_fetch(self, key):
            return (Image & key).fetch1("pixels"), {"all": (Image & "factor < 99").fetch("factor")}

        def make_compute(self, key, pixels, others):
            if len(self) == 1:
                if change == "value":
                    other.update1({"image": 1, "factor": 5})
                elif change == "nested":
                    other.update1({**key, "pixels": [1]})
                else:
                    other.insert1((9, [0], 9))
            return (1.0,)

        def make_insert(self, key, total):
            self.insert1({**key, "total": total})

        Result = computed(
            schema, Image, make_fetch=make_fetch, make_compute=make_compute, make_insert=make_insert
        )
        with pytest.raises(DataJointError, match=r"has changed while it was computed") as error:
            Result.populate()
        assert "__result`" in str(error.value)
        assert Result.fetch("image").tolist() == [1]
        assert not Result.connection.in_transaction

    def test_what_cannot_be_compared(self, schema, Image):
        members = self.three_methods(Image, [])
        members["make_fetch"] = lambda self, key: ((i for i in range(2)),)
        with pytest.raises(DataJointError, match="cannot be compared"):
            computed(schema, Image, **members).populate()

    def test_errors_are_errors_of_the_key(self, schema, Image):
        members = self.three_methods(Image, [])

        def make_compute(self, key, pixels, factor):
            if key["image"] == 2:
                raise ValueError("no luck")
            return (1.0,)

        Result = computed(schema, Image, **members | {"make_compute": make_compute})
        done = Result.populate(suppress_errors=True, reserve_jobs=True)
        assert done == {"success_count": 2, "error_list": [({"image": 2}, "ValueError: no luck")]}
        assert schema.jobs.fetch1("error_message") == "ValueError: no luck"

    @pytest.mark.parametrize("missing", ["make_fetch", "make_compute", "make_insert"])
    def test_a_part_is_missing(self, schema, Image, missing):
        members = self.three_methods(Image, [])
        del members[missing]
        with pytest.raises(NotImplementedError, match=f"`{missing}` is missing"):
            computed(schema, Image, **members).populate()


class Moody:
    """A `make` that raises the errors it is given, one in each call."""

    def __init__(self, *errors, after_insert=True):
        self.errors = iter(errors)
        self.after_insert = after_insert
        self.calls = []

    def member(self):
        def make(table, key):
            self.calls.append(key["image"])
            if self.after_insert:
                table.insert1({**key, "total": len(self.calls)})
            for error in itertools.islice(self.errors, 1):
                if error is not None:
                    raise error
            if not self.after_insert:
                table.insert1({**key, "total": len(self.calls)})

        return make


class Flaky(Exception):
    pass


class TestRetries:
    def test_transient_errors(self, schema, Image, no_pauses, caplog):
        moody = Moody(Flaky("1"), Flaky("2"), None, Flaky("3"))
        Result = computed(schema, Image, make=moody.member(), transient_errors=(Flaky,))
        with caplog.at_level(logging.WARNING, "datajoint"):
            assert Result.populate(retries=2, backoff=4)["success_count"] == 3
        assert moody.calls == [1, 1, 1, 2, 2, 3]
        assert Result.fetch("total", order_by="KEY").tolist() == [3, 5, 6]
        first, second, third = no_pauses
        assert 2 <= first <= 6
        assert 4 <= second <= 12
        assert 2 <= third <= 6
        assert "attempt 2 of 3" in caplog.text
        assert "attempt 3 of 3" in caplog.text
        assert "Flaky: 1" in caplog.text

    def test_they_are_errors_in_the_end(self, schema, Image):
        moody = Moody(*(Flaky(str(i)) for i in range(3)))
        Result = computed(schema, Image, make=moody.member(), transient_errors=(Flaky,))
        done = Result.populate(retries=2, suppress_errors=True)
        assert done == {"success_count": 2, "error_list": [({"image": 1}, "Flaky: 2")]}
        assert moody.calls == [1, 1, 1, 2, 3]

    def test_causes_count(self, schema, Image):
        outer = ValueError("outer")
        outer.__cause__ = Flaky("inner")
        moody = Moody(outer)
        Result = computed(schema, Image, make=moody.member(), transient_errors=(Flaky,))
        assert Result.populate(retries=1)["success_count"] == 3
        assert moody.calls == [1, 1, 2, 3]

    @pytest.mark.parametrize("retries", [0, 3])
    def test_other_errors_are_not_tried_again(self, schema, Image, retries):
        moody = Moody(ValueError("once"))
        Result = computed(schema, Image, make=moody.member(), transient_errors=(Flaky,))
        with pytest.raises(ValueError, match="once"):
            Result.populate(retries=retries)
        assert moody.calls == [1]

    @pytest.mark.parametrize("listed", [Flaky, [Flaky], {Flaky}])
    def test_however_they_are_listed(self, schema, Image, listed):
        moody = Moody(Flaky("1"))
        Result = computed(schema, Image, make=moody.member(), transient_errors=listed)
        assert Result.populate(retries=1)["success_count"] == 3

    def test_what_is_listed_is_checked(self, schema, Image):
        moody = Moody()
        Result = computed(schema, Image, make=moody.member(), transient_errors=("Flaky",))
        with pytest.raises(TypeError, match="must be classes of exceptions, not 'Flaky'"):
            Result.populate()
        assert moody.calls == []

    def test_causes_in_a_circle(self, schema, Image):
        error, other = ValueError("egg"), ValueError("hen")
        error.__cause__, other.__cause__ = other, error
        moody = Moody(error)
        Result = computed(schema, Image, make=moody.member(), transient_errors=(Flaky,))
        done = Result.populate(retries=1, suppress_errors=True)
        assert done == {"success_count": 2, "error_list": [({"image": 1}, "ValueError: egg")]}

    def test_nothing_is_transient_by_default(self, schema, Image):
        moody = Moody(OSError("full"))
        with pytest.raises(OSError, match="full"):
            computed(schema, Image, make=moody.member()).populate(retries=5)
        assert moody.calls == [1]

    def test_with_reservations(self, schema, Image):
        moody = Moody(Flaky("1"), None, Flaky("2"), Flaky("3"))
        Result = computed(schema, Image, make=moody.member(), transient_errors=(Flaky,))
        done = Result.populate(retries=1, reserve_jobs=True, suppress_errors=True)
        assert done == {"success_count": 2, "error_list": [({"image": 2}, "Flaky: 3")]}
        assert schema.jobs.fetch("status", "error_message")[1].tolist() == ["Flaky: 3"]


class TestConflicts:
    def test_made_again(self, schema, Image, no_pauses):
        moody = Moody(*(ConflictError("busy") for _ in range(10)))
        Result = computed(schema, Image, make=moody.member())
        assert Result.populate()["success_count"] == 3
        assert moody.calls == [1] * 11 + [2, 3]
        assert len(no_pauses) == 10

    def test_not_for_ever(self, schema, Image):
        moody = Moody(*(ConflictError("busy") for _ in range(11)))
        with pytest.raises(ConflictError, match="busy"):
            computed(schema, Image, make=moody.member()).populate()
        assert moody.calls == [1] * 11

    def test_after_conflicts_it_keeps_others_from_writing(self, schema, Image, connect, backend):
        """A `make` whose input always changes is made in the end."""
        other = dj.FreeTable(connect(), Image.full_table_name)
        calls = []

        def make(self, key):
            factor = (Image & key).fetch1("factor")
            calls.append(factor)
            if len(calls) <= making.OPTIMISTIC:
                other.update1({**key, "factor": 10 + len(calls)})
            self.insert1({**key, "total": factor})

        Result = computed(schema, Image, make=make)
        assert Result.populate("image = 2")["success_count"] == 1
        assert Result.fetch1("total") == calls[-1]
        conflicting = [2, 11, 12, 13]
        if backend == "sqlite":
            assert calls == conflicting
        else:  # what is read from their snapshots may be out of date when they commit
            assert calls in ([2], conflicting)

    @pytest.mark.parametrize("kind", [ValueError, DuplicateError, None])
    def test_errors_that_make_turns_into_others(self, schema, Image, connect, backend, kind):
        """A `make` that takes a conflict for something else is called again, too."""
        if backend != "sqlite":
            pytest.skip("the conflict is that of one writer")
        other = dj.FreeTable(connect(), Image.full_table_name)
        calls = []

        def make(self, key):
            factor = (Image & key).fetch1("factor")
            calls.append(factor)
            if len(calls) == 1:
                other.update1({**key, "factor": 20})
            try:
                self.insert1({**key, "total": factor})
            except DataJointError:
                if kind is not None:
                    raise kind("no luck") from None

        Result = computed(schema, Image, make=make)
        assert Result.populate("image = 2") == {"success_count": 1, "error_list": []}
        assert calls == [2, 20]
        assert Result.fetch1("total") == 20

    def test_computed_again_in_three_parts(self, schema, Image):
        """What was computed may have been changed by the attempt that failed."""
        attempts = []

        def make_insert(self, key, totals):
            self.insert1({**key, "total": totals.pop()})
            attempts.append(key["image"])
            if len(attempts) == 1:
                raise ConflictError("busy")

        Result = computed(
            schema,
            Image,
            make_fetch=lambda self, key: [key["image"]],
            make_compute=lambda self, key, x: [[10.0 * x]],
            make_insert=make_insert,
        )
        assert Result.populate()["success_count"] == 3
        assert attempts == [1, 1, 2, 3]
        assert Result.fetch("total", order_by="KEY").tolist() == [10, 20, 30]


class TestLosses:
    def test_errors_that_make_turns_into_others(self, schema, Image, connect, backend):
        if backend == "sqlite":
            pytest.skip("a database in a file is not lost")
        admin = connect()
        calls = []

        def make(self, key):
            calls.append(key["image"])
            if len(calls) == 1:
                admin.kill(self.connection.connection_id)
            try:
                self.insert1({**key, "total": 0})
            except DataJointError:
                raise ValueError("no luck") from None

        Result = computed(schema, Image, make=make)
        assert Result.populate() == {"success_count": 3, "error_list": []}
        assert calls == [1, 1, 2, 3]

    def test_made_again(self, schema, Image, connect, backend):
        if backend == "sqlite":
            pytest.skip("a database in a file is not lost")
        killer = connect()
        calls = []

        def make(self, key):
            calls.append(key["image"])
            self.insert1({**key, "total": len(calls)})
            if len(calls) in (2, 3):
                killer.kill(self.connection.connection_id)
                len(Image())

        Result = computed(schema, Image, make=make)
        assert Result.populate() == {"success_count": 3, "error_list": []}
        assert calls == [1, 2, 2, 2, 3]
        assert Result.fetch("total", order_by="KEY").tolist() == [1, 4, 5]

    def test_patience_ends(self, schema, Image, no_pauses):
        moody = Moody(*(LostConnectionError(str(i)) for i in range(1000)))
        Result = computed(schema, Image, make=moody.member())
        with dj.config(populate__patience=30.0), pytest.raises(LostConnectionError):
            Result.populate()
        assert 10 < sum(no_pauses) <= 30
        assert set(moody.calls) == {1}

    def test_no_patience_where_lost_connections_stay_lost(self, schema, Image):
        moody = Moody(LostConnectionError("gone"))
        Result = computed(schema, Image, make=moody.member())
        with dj.config(database__reconnect=False), pytest.raises(LostConnectionError, match="gone"):
            Result.populate()
        assert moody.calls == [1]

    @pytest.mark.parametrize("reserve_jobs", [False, True])
    @pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
    def test_lost_in_the_commit(
        self, schema, Image, connect, backend, monkeypatch, done, reserve_jobs
    ):
        if backend == "sqlite":
            pytest.skip("a database in a file is not lost")
        killer = connect()
        moody = Moody()
        Result = computed(schema, Image, make=moody.member())
        session, losses = Result.connection.backend, []
        commit = session.commit

        def lose():
            if len(moody.calls) == 2 and not losses and Result.connection.in_transaction:
                losses.append(1)
                if done:
                    commit()
                killer.kill(session.session_id)
                session.execute("SELECT 1")
            commit()

        monkeypatch.setattr(session, "commit", lose)
        result = Result.populate(reserve_jobs=reserve_jobs)
        assert result == {"success_count": 3, "error_list": []}
        assert losses == [1]
        assert moody.calls == ([1, 2, 3] if done else [1, 2, 2, 3])
        assert len(Result()) == 3
        assert len(schema.jobs) == 0


class TestOthers:
    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_made_by_others_meanwhile(self, schema, Image, connect, reserve_jobs):
        """What they have made after it was looked up is no error."""
        calls = []

        def make(self, key):
            calls.append(key["image"])
            if key["image"] == 2:
                connection = connect()
                other = dj.FreeTable(connection, self.full_table_name)
                other.insert1({**key, "total": -1})
                connection.close()
            self.insert1({**key, "total": 1})

        Result = computed(schema, Image, make=make)
        assert Result.populate(reserve_jobs=reserve_jobs) == {"success_count": 2, "error_list": []}
        assert calls == [1, 2, 3]
        assert Result.fetch("total", order_by="KEY").tolist() == [1, -1, 1]
        assert len(schema.jobs) == 0

    @pytest.mark.parametrize("reserve_jobs", [False, True])
    def test_a_parent_removed_by_others_meanwhile(self, schema, Image, connect, reserve_jobs):
        other = dj.FreeTable(connect(), Image.full_table_name)

        def make(self, key):
            if other & key & "image = 2":
                (other & key).delete_quick()
            self.insert1({**key, "total": 0})

        Result = computed(schema, Image, make=make)
        assert Result.populate(reserve_jobs=reserve_jobs) == {"success_count": 2, "error_list": []}
        assert Result.fetch("image").tolist() == [1, 3]
        assert len(schema.jobs) == 0

    def test_a_key_that_is_given_and_has_no_source(self, schema, Image):
        Result = computed(schema, Image, make=Moody().member())
        with pytest.raises((IntegrityError, ConflictError)):
            Result.populate(keys=[{"image": 7}])

    def test_a_source_that_cannot_be_read(self, schema, Image):
        """The error is that of the make."""

        def make(self, key):
            sources.pop()
            raise ValueError("no luck")

        sources = [Image]
        members = {"key_source": property(lambda self: sources[0]), "make": make}
        with pytest.raises(ValueError, match="no luck"):
            computed(schema, Image, **members).populate()

    def test_others_who_are_at_the_same_keys(self, schema, Image, connect):
        """What they made beside the key that both made at once is not made again."""
        Image.insert((i, [0], 1) for i in range(4, 30))
        connection = connect()
        calls = []

        def make(self, key):
            calls.append(key["image"])
            if key["image"] == 8:
                other = dj.FreeTable(connection, self.full_table_name)
                other.insert({"image": i, "total": -1} for i in range(8, 12))
            self.insert1({**key, "total": 1})

        Result = computed(schema, Image, make=make)
        assert Result.populate() == {"success_count": 25, "error_list": []}
        assert calls == [*range(1, 9), *range(12, 30)]

    def test_a_duplicate_of_its_own_is_an_error(self, schema, Image):
        def make(self, key):
            self.insert1({**key, "total": 1})
            self.insert1({**key, "total": 1})

        Result = computed(schema, Image, make=make)
        with pytest.raises(DuplicateError):
            Result.populate()
        assert len(Result()) == 0

    def test_integrity(self, schema, Image):
        def make(self, key):
            self.insert1({"image": 77, "total": 1})

        with pytest.raises(IntegrityError):
            computed(schema, Image, make=make).populate()
