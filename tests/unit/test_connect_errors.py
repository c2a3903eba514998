"""What failures to connect mean: whoever waits for a database goes on while it may be back."""

import pytest

from datajoint.backends.postgresql_errors import connect_explanation
from datajoint.errors import AccessError, DataJointError, LostConnectionError


@pytest.mark.parametrize(
    ("said", "class_"),
    [
        ("FATAL:  the database system is starting up", LostConnectionError),
        ("FATAL:  the database system is shutting down", LostConnectionError),
        ("FATAL:  the database system is in recovery mode", LostConnectionError),
        (
            "FATAL:  the database system is not yet accepting connections\n"
            "DETAIL:  Consistent recovery state has not been yet reached.",
            LostConnectionError,
        ),
        ("FATAL:  the database system is not accepting connections", LostConnectionError),
        ("FATAL:  das Datenbanksystem startet", LostConnectionError),
        ("FATAL:  sorry, too many clients already", LostConnectionError),
        ("SSL error: unexpected eof while reading", LostConnectionError),
        ("SSL SYSCALL error: EOF detected", LostConnectionError),
        ("server closed the connection unexpectedly", LostConnectionError),
        ("SSL error: certificate verify failed", DataJointError),
        ('FATAL:  database "lab" does not exist', DataJointError),
        ('FATAL:  password authentication failed for user "mary"', AccessError),
        (
            'connection to server at "localhost" (::1), port 5432 failed: Connection refused\n'
            'connection to server at "localhost" (127.0.0.1), port 5432 failed: FATAL:  password '
            'authentication failed for user "mary"',
            AccessError,
        ),
    ],
)
def test_postgresql(said, class_):
    assert connect_explanation(said, password=False)[0] is class_
