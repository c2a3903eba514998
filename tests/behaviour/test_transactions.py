"""What transactions see of each other, and what becomes of those that fail: manual 7.5.

Those of one connection: test_manipulation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

import datajoint as dj
from datajoint.errors import (
    ConflictError,
    DataJointError,
    DuplicateError,
    IntegrityError,
    MissingAttributeError,
    MissingTableError,
    QueryError,
    UnknownAttributeError,
)

#: Databases with one transaction at a time: others wait for it.
TAKE_TURNS = {"sqlite"}
#: What makes a connection wait less for locks.
IMPATIENCE = {
    "sqlite": None,  # the setting database.timeout
    "mysql": "SET innodb_lock_wait_timeout = 1",
    "postgresql": "SET lock_timeout = '100ms'",
}


@pytest.fixture
def bank(schema):
    @schema
    class Account(dj.Manual):
        definition = """
        owner : varchar(8)
        ---
        amount : int
        """

    @schema
    class Payment(dj.Manual):
        definition = """
        -> Account
        payment : int
        """

    @schema
    class Audit(dj.Computed):
        definition = "-> Account"

        def make(self, key):
            self.insert1(key)

    Account.insert([("ada", 10), ("bob", 20)])
    return SimpleNamespace(**locals())


@pytest.fixture
def turns(backend):
    """Whether the database has one transaction at a time."""
    return backend in TAKE_TURNS


@pytest.fixture
def other(bank, connect, backend):
    """The tables as another connection sees them, which does not wait long for locks."""
    with dj.config(database__timeout=0.2):
        connection = connect()
    if IMPATIENCE[backend]:
        connection.query(IMPATIENCE[backend])
    return SimpleNamespace(
        connection=connection,
        Account=dj.FreeTable(connection, bank.Account.full_table_name),
        Payment=dj.FreeTable(connection, bank.Payment.full_table_name),
    )


def amounts(tables) -> dict[str, int]:
    owners, values = tables.Account.fetch("owner", "amount")
    return dict(zip(owners.tolist(), values.tolist(), strict=True))


def pay(tables, owner: str, amount: int) -> None:
    """Read an amount, and write another."""
    old = (tables.Account & {"owner": owner}).fetch1("amount")
    tables.Account.update1({"owner": owner, "amount": old + amount})


def is_done(action: Callable[[], Any]) -> bool:
    """Do something; tell whether nobody stood in the way."""
    try:
        action()
    except ConflictError:
        return False
    return True


class TestIsolation:
    """What a transaction reads is the state of the database when it began."""

    def test_no_dirty_reads(self, bank, connection, other):
        with pytest.raises(RuntimeError), connection.transaction:
            bank.Account.update1({"owner": "ada", "amount": 0})
            bank.Account.insert1(("eve", 5))
            (bank.Account & "owner = 'bob'").delete()
            assert amounts(bank) == {"ada": 0, "eve": 5}
            assert amounts(other) == {"ada": 10, "bob": 20}
            raise RuntimeError
        assert amounts(other) == amounts(bank) == {"ada": 10, "bob": 20}

    def test_the_commit_is_seen_as_a_whole(self, bank, connection, other):
        with connection.transaction:
            bank.Account.insert1(("eve", 5))
            bank.Payment.insert1(("eve", 1))
            assert (len(other.Account), len(other.Payment)) == (2, 0)
        assert (len(other.Account), len(other.Payment)) == (3, 1)

    @pytest.mark.parametrize("reads_first", [True, False])
    def test_no_unrepeatable_reads(self, bank, connection, other, turns, reads_first):
        with connection.transaction:
            if reads_first:
                assert amounts(bank) == {"ada": 10, "bob": 20}
            done = is_done(lambda: other.Account.update1({"owner": "ada", "amount": 0}))
            assert amounts(bank) == {"ada": 10, "bob": 20}
        assert done is not turns
        assert amounts(bank) == {"ada": 0 if done else 10, "bob": 20}

    @pytest.mark.parametrize("reads_first", [True, False])
    def test_no_phantoms(self, bank, connection, other, turns, reads_first):
        with connection.transaction:
            if reads_first:
                assert len(bank.Account & "amount > 5") == 2
            done = is_done(lambda: other.Account.insert([("eve", 5), ("dan", 40)]))
            assert len(bank.Account & "amount > 5") == len(bank.Account()) == 2
            total = dj.U().aggr(bank.Account, total="sum(amount)").fetch1("total")
            assert total == 30
        assert done is not turns
        assert len(bank.Account()) == (4 if done else 2)

    def test_several_tables_are_of_one_state(self, bank, connection, other, turns):
        with connection.transaction:
            assert len(bank.Account()) == 2

            def add():
                with other.connection.transaction:
                    other.Account.insert1(("eve", 5))
                    other.Payment.insert1(("eve", 1))

            assert is_done(add) is not turns
            assert (len(bank.Payment()), len(bank.Account())) == (0, 2)

    def test_own_changes_are_seen(self, bank, connection):
        with connection.transaction:
            pay(bank, "ada", 5)
            pay(bank, "ada", 5)
            assert amounts(bank) == {"ada": 20, "bob": 20}


class TestConflicts:
    def test_no_update_is_lost(self, bank, connection, other, turns):
        def pay_both():
            with connection.transaction:
                old = (bank.Account & "owner = 'ada'").fetch1("amount")
                with other.connection.transaction:
                    pay(other, "ada", 5)
                bank.Account.update1({"owner": "ada", "amount": old + 1})

        with pytest.raises(ConflictError) as error:
            pay_both()
        assert "repeated" in str(error.value)
        assert not connection.in_transaction
        assert not other.connection.in_transaction
        assert amounts(bank) == {"ada": 10 if turns else 15, "bob": 20}
        pay(bank, "ada", 1)
        assert amounts(bank) == {"ada": 11 if turns else 16, "bob": 20}

    @pytest.mark.parametrize("change", ["update", "delete"])
    @pytest.mark.parametrize("of_the_other", ["update", "delete"])
    def test_what_another_has_changed_is_not_changed(
        self, bank, connection, other, turns, change, of_the_other
    ):
        def do(tables, what, amount):
            if what == "update":
                tables.Account.update1({"owner": "ada", "amount": amount})
            else:
                (tables.Account & "owner = 'ada'").delete_quick()

        def both():
            with connection.transaction:
                assert len(bank.Account()) == 2
                do(other, of_the_other, 1)
                do(bank, change, 2)

        with pytest.raises(ConflictError):
            both()
        expected = {"ada": 10} if turns else {"ada": 1} if of_the_other == "update" else {}
        assert amounts(bank) == {**expected, "bob": 20}

    def test_a_duplicate_that_another_has_inserted(self, bank, connection, other, backend, turns):
        def insert():
            with connection.transaction:
                assert len(bank.Account()) == 2
                other.Account.insert1(("eve", 1))
                bank.Account.insert1(("eve", 2))

        with pytest.raises(DuplicateError if backend == "postgresql" else ConflictError):
            insert()
        assert amounts(bank).get("eve") == (None if turns else 1)

    def test_write_skew_is_possible_where_transactions_overlap(
        self, bank, connection, other, turns
    ):
        """Each reads what the other changes: as one after the other, one of them would not pay."""

        def pay_if_rich(tables, owner):
            total = dj.U().aggr(tables.Account, total="sum(amount)").fetch1("total")
            if total >= 30:
                pay(tables, owner, -10)

        def overlap():
            with connection.transaction:
                assert amounts(bank) == {"ada": 10, "bob": 20}
                with other.connection.transaction:
                    pay_if_rich(other, "bob")
                pay_if_rich(bank, "ada")

        assert is_done(overlap) is not turns
        assert amounts(bank) == ({"ada": 10, "bob": 20} if turns else {"ada": 0, "bob": 10})

    def test_a_lock_is_waited_for(self, bank, connection, connect):
        patient = connect()
        table = dj.FreeTable(patient, bank.Account.full_table_name)
        with ThreadPoolExecutor(1) as pool:
            with connection.transaction:
                bank.Account.update1({"owner": "ada", "amount": 0})
                update = pool.submit(table.update1, {"owner": "ada", "amount": 7})
                bank.Account.update1({"owner": "bob", "amount": 0})
            update.result(30)
        assert amounts(bank) == {"ada": 7, "bob": 0}

    def test_a_lock_is_not_waited_for_for_ever(self, bank, connection, other):
        with connection.transaction:
            bank.Account.update1({"owner": "ada", "amount": 0})
            with pytest.raises(ConflictError, match=r"locked|hold"):
                other.Account.update1({"owner": "ada", "amount": 7})
        assert amounts(bank) == {"ada": 0, "bob": 20}

    @pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
    def test_how_long_a_lock_is_waited_for(self, connection):
        def limit():
            return connection.query("SHOW lock_timeout").fetchone()[0]

        with connection.transaction:
            assert limit() == "50s"  # as MariaDB does by itself
        assert limit() == "0"
        connection.query("SET lock_timeout = '7s'")
        with connection.transaction:
            assert limit() == "7s"
        assert limit() == "7s"

    def test_waiting_in_a_transaction_ends_it(self, bank, connection, other, turns):
        with connection.transaction:
            bank.Account.update1({"owner": "ada", "amount": 0})

            def change():
                with other.connection.transaction:
                    other.Account.update1({"owner": "bob", "amount": 1})
                    other.Account.update1({"owner": "ada", "amount": 1})

            with pytest.raises(ConflictError, match="repeated"):
                change()
            assert not other.connection.in_transaction
            pay(bank, "bob", 1)  # which the other has let go
        assert amounts(bank) == {"ada": 0, "bob": 21}

    def test_deadlock(self, bank, connection, connect, turns):
        """One of two transactions that wait for each other ends, and the other goes on."""
        connections = [connection, connect()]
        both_have_one = threading.Barrier(2)

        def change(number: int, owners: tuple[str, str]) -> ConflictError | None:
            own = connections[number]
            table = dj.FreeTable(own, bank.Account.full_table_name)
            try:
                with own.transaction:
                    table.update1({"owner": owners[0], "amount": number})
                    try:
                        both_have_one.wait(1)
                    except threading.BrokenBarrierError:  # the other waits for its turn
                        assert turns
                    table.update1({"owner": owners[1], "amount": number})
            except ConflictError as error:
                return error
            return None

        with ThreadPoolExecutor(2) as pool:
            errors = list(pool.map(change, range(2), [("ada", "bob"), ("bob", "ada")]))
        assert not any(c.in_transaction for c in connections)
        victims = [error for error in errors if error]
        assert len(victims) == (0 if turns else 1)
        for error in victims:
            assert "it can be repeated" in str(error)
            winner = errors.index(None)
            assert amounts(bank) == {"ada": winner, "bob": winner}
        if turns:
            assert amounts(bank) in ({"ada": 0, "bob": 0}, {"ada": 1, "bob": 1})

    def test_a_conflict_that_is_caught_ends_the_transaction_all_the_same(
        self, bank, connection, other, turns
    ):
        def go_on():
            with connection.transaction:
                bank.Account.insert1(("eve", 1))
                assert is_done(lambda: other.Account.update1({"owner": "ada", "amount": 1}))
                assert not is_done(lambda: pay(bank, "ada", 1))
                with pytest.raises(ConflictError, match="nothing can be done in it"):
                    bank.Account.insert1(("dan", 1))
                with pytest.raises(ConflictError, match="nothing can be done in it"):
                    len(bank.Account())

        if turns:  # a conflict comes only before a transaction
            with pytest.raises(AssertionError):
                go_on()
        else:
            with pytest.raises(ConflictError, match="was rolled back"):
                go_on()
        assert not connection.in_transaction
        assert amounts(bank) == {"ada": 10 if turns else 1, "bob": 20}
        bank.Account.insert1(("eve", 1))


# What fails in a transaction, and how.
FAILURES = {
    "duplicate": (DuplicateError, lambda b: b.Account.insert1(("ada", 1))),
    "duplicates": (DuplicateError, lambda b: b.Account.insert([("dan", 1), ("ada", 1)])),
    "within": (DuplicateError, lambda b: b.Account.insert([("dan", 1), ("dan", 2)])),
    "own": (DuplicateError, lambda b: b.Account.insert1(("eve", 1))),
    "parent": (IntegrityError, lambda b: b.Payment.insert1(("nobody", 1))),
    "parents": (IntegrityError, lambda b: b.Payment.insert([("ada", 2), ("nobody", 1)])),
    "query": (DataJointError, lambda b: b.Account.insert(b.Account & "owner = 'ada'")),
    "child": (IntegrityError, lambda b: (b.Account & "owner = 'bob'").delete_quick()),
    "null": (MissingAttributeError, lambda b: b.Account.insert1({"owner": "dan"})),
    "value": (DataJointError, lambda b: b.Account.insert1(("dan", 2**40))),
    "replaced": (IntegrityError, lambda b: b.Payment.insert1(("nobody", 1), replace=True)),
    "condition": (UnknownAttributeError, lambda b: b.Account & "bogus = 1"),
    "statement": (MissingTableError, lambda b: b.connection.query("SELECT * FROM bogus.bogus")),
    "syntax": (QueryError, lambda b: b.connection.query("SELEC 1")),
    "text": (DataJointError, lambda b: b.Account.insert1(("much too long", 1))),
    "declared": (DataJointError, lambda b: b.schema(type("Late", (dj.Manual,), {}))),
    "dropped": (DataJointError, lambda b: b.Payment.drop()),
    "populated": (DataJointError, lambda b: b.Audit.populate()),
    "nested": (DataJointError, lambda b: b.connection.start_transaction()),
}


class TestErrors:
    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_any_exception_undoes_all(self, bank, connection, other, error):
        with pytest.raises(error), connection.transaction:
            pay(bank, "ada", 1)
            bank.Account.insert1(("eve", 1))
            (bank.Account & "owner = 'bob'").delete()
            raise error
        assert not connection.in_transaction
        assert amounts(bank) == amounts(other) == {"ada": 10, "bob": 20}

    def test_a_generator_that_is_closed(self, bank, connection):
        def steps():
            with connection.transaction:
                bank.Account.insert1(("eve", 1))
                yield
                bank.Account.insert1(("dan", 1))

        running = steps()
        next(running)
        assert connection.in_transaction
        running.close()
        assert not connection.in_transaction
        assert amounts(bank) == {"ada": 10, "bob": 20}

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
    def test_an_interrupted_statement(self, bank, connection, monkeypatch, error):
        def interrupt(*args):
            execute(*args)
            raise error

        execute = connection.backend.execute
        with pytest.raises(error), connection.transaction:
            bank.Account.insert1(("eve", 1))
            with monkeypatch.context() as patch:
                patch.setattr(connection.backend, "execute", interrupt)
                bank.Account.update1({"owner": "ada", "amount": 1})
        assert not connection.in_transaction
        assert amounts(bank) == {"ada": 10, "bob": 20}

    def test_an_interrupted_commit(self, bank, connection, monkeypatch):
        def interrupt():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), connection.transaction:
            bank.Account.insert1(("eve", 1))
            monkeypatch.setattr(connection.backend, "commit", interrupt)
        assert not connection.in_transaction
        assert amounts(bank) == {"ada": 10, "bob": 20}

    @pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
    def test_the_transaction_goes_on_after_an_error_that_is_caught(
        self, bank, connection, other, failure
    ):
        bank.connection = connection
        bank.Payment.insert1(("bob", 1))
        error, action = failure
        with connection.transaction:
            bank.Account.insert1(("eve", 1))
            for _ in range(2):
                with pytest.raises(error):
                    action(bank)
            assert connection.in_transaction
            assert amounts(bank) == {"ada": 10, "bob": 20, "eve": 1}
            bank.Payment.insert1(("eve", 5))
            bank.Account.update1({"owner": "ada", "amount": 11})
        assert amounts(other) == {"ada": 11, "bob": 20, "eve": 1}
        assert sorted(other.Payment.fetch("owner").tolist()) == ["bob", "eve"]

    def test_skipped_duplicates(self, bank, connection, other):
        with connection.transaction:
            bank.Account.insert([("ada", 1), ("eve", 1)], skip_duplicates=True)
            bank.Account.insert1(("bob", 1), replace=True)
        assert amounts(other) == {"ada": 10, "bob": 1, "eve": 1}


class TestNesting:
    def test_inside_a_transaction(self, bank, connection):
        with connection.transaction:
            bank.Account.insert1(("eve", 1))
            for start in (connection.start_transaction, connection.transaction.__enter__):
                with pytest.raises(DataJointError, match="nested transactions are not supported"):
                    start()
            assert connection.in_transaction
        assert amounts(bank) == {"ada": 10, "bob": 20, "eve": 1}

    def test_that_is_not_caught_undoes_all(self, bank, connection):
        with pytest.raises(DataJointError, match="nested"), connection.transaction:
            bank.Account.insert1(("eve", 1))
            with connection.transaction:
                bank.Account.insert1(("dan", 1))
        assert not connection.in_transaction
        assert amounts(bank) == {"ada": 10, "bob": 20}

    def test_inside_make(self, bank, schema, connection):
        @schema
        class Nested(dj.Computed):
            definition = "-> bank.Account"

            def make(self, key):
                self.insert1(key)
                with self.connection.transaction:
                    pass

        with pytest.raises(DataJointError, match="nested"):
            Nested.populate()
        assert not connection.in_transaction
        assert len(Nested()) == 0

    @pytest.mark.parametrize("end", ["commit_transaction", "cancel_transaction"])
    def test_ended_by_make(self, bank, schema, connection, end):
        @schema
        class Ended(dj.Computed):
            definition = "-> bank.Account"

            def make(self, key):
                getattr(self.connection, end)()

        with pytest.raises(DataJointError, match="ended the transaction"):
            Ended.populate()
        assert not connection.in_transaction

    @pytest.mark.parametrize("end", ["commit_transaction", "cancel_transaction", "close"])
    @pytest.mark.parametrize("before", [True, False])
    def test_what_such_a_make_inserts_is_not_there(self, bank, schema, connection, end, before):
        @schema
        class Ended(dj.Computed):
            definition = "-> bank.Account"

            def make(self, key):
                if before:
                    self.insert1(key)
                getattr(self.connection, end)()
                self.insert1(key, skip_duplicates=True)

        result = Ended.populate(suppress_errors=True)
        assert (result["success_count"], len(result["error_list"])) == (0, 2)
        assert len(Ended()) == 0

    def test_two_connections_have_their_own(self, bank, connection, other, turns):
        with connection.transaction:
            assert not other.connection.in_transaction
            assert is_done(other.connection.start_transaction) is not turns
            other.connection.cancel_transaction()
            assert connection.in_transaction

    def test_none_to_commit(self, bank, connection):
        with pytest.raises(DataJointError, match="No transaction is in progress"):
            connection.commit_transaction()

    def test_none_to_cancel(self, bank, connection):
        connection.cancel_transaction()
        connection.cancel_transaction()
        assert amounts(bank) == {"ada": 10, "bob": 20}

    def test_ended_inside_its_block(self, bank, connection):
        nothing = pytest.raises(DataJointError, match="No transaction is in progress")
        with nothing, connection.transaction:
            bank.Account.insert1(("eve", 1))
            connection.cancel_transaction()
        assert amounts(bank) == {"ada": 10, "bob": 20}


def test_nested_parts_are_undone_one_by_one(bank, connection):
    with connection.transaction:
        with connection.atomic():
            bank.Account.insert1(("cy", 1))
            with pytest.raises(ZeroDivisionError), connection.atomic():
                bank.Account.insert1(("dee", 1))
                raise ZeroDivisionError
            with connection.atomic():
                bank.Account.insert1(("eve", 1))
        with pytest.raises(ZeroDivisionError), connection.atomic():
            with connection.atomic():
                bank.Account.insert1(("fay", 1))
            raise ZeroDivisionError
    assert list(bank.Account.fetch("owner", order_by="owner")) == ["ada", "bob", "cy", "eve"]
