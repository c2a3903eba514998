"""Names of tables and stored hashes: golden tables of the storage formats, sections 1.2 and 5."""

import datetime as dt
import io
import re
from decimal import Decimal
from uuid import UUID

import pytest

import datajoint as dj
from datajoint.blob import pack
from datajoint.errors import DataJointError
from datajoint.hash import key_hash, uuid_from_buffer, uuid_from_file, uuid_from_stream
from datajoint.user_tables import tier_of
from datajoint.utils import (
    from_camel_case,
    get_master,
    split_full_table_name,
    to_camel_case,
)

CLASS_NAMES = [
    ("Subject", "subject"),
    ("EEG", "e_e_g"),
    ("ROI", "r_o_i"),
    ("TwoPhotonScan2P", "two_photon_scan2_p"),
    ("Scan2D", "scan2_d"),
    ("S3Bucket", "s3_bucket"),
    ("X1Y2", "x1_y2"),
    ("HTTPServer2", "h_t_t_p_server2"),
    ("AB", "a_b"),
    ("ABc", "a_bc"),
    ("Session2", "session2"),
    ("A", "a"),
    ("StructuralScan", "structural_scan"),
]


@pytest.mark.parametrize(("name", "table"), CLASS_NAMES)
def test_from_camel_case(name, table):
    assert from_camel_case(name) == table


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Two_photon_Scan", "its name has an underscore; write `TwoPhotonScan`"),
        ("membrane_potential", "its name has an underscore; write `MembranePotential`"),
        ("_Hidden", "its name has an underscore; write `Hidden`"),
        ("Foo_Bar", "its name has an underscore; write `FooBar`"),
        ("Stim_1", "its name has an underscore"),
        ("twoPhotonScan", "its name must begin with a capital letter; write `TwoPhotonScan`"),
        (
            "membranePotential",
            "its name must begin with a capital letter; write `MembranePotential`",
        ),
        ("2PhotonScan", "its name must begin with a capital letter"),
        ("", "its name must begin with a capital letter"),
        ("Über", "its name can have only letters from a to z and digits, not 'Ü'"),
        ("Caféteria", "its name can have only letters from a to z and digits, not 'é'"),
        ("A B", "its name can have only letters from a to z and digits, not ' '; write `AB`"),
        ("A.B", "its name can have only letters from a to z and digits, not '.'; write `AB`"),
        ("A\n", "its name can have only letters from a to z and digits, not '\\n'"),
    ],
)
def test_class_names_that_are_not_valid(name, reason):
    with pytest.raises(DataJointError) as error:
        from_camel_case(name)
    assert str(error.value) == f"The class `{name}` cannot be a table: {reason}"


def test_names_of_classes_are_checked_with_their_table():
    with pytest.raises(DataJointError, match=r"^The class `Stim_1` cannot be a table: its name"):
        str(type("Stim_1", (dj.Manual,), {})().table_name)


@pytest.mark.parametrize(
    ("table", "name"),
    [
        *((table, name) for name, table in CLASS_NAMES),
        ("#e_e_g", "EEG"),
        ("__r_o_i", "ROI"),
        ("_imported", "Imported"),
        ("session__two_photon_scan2_p", "SessionTwoPhotonScan2P"),
        ("#spatial_filter", "SpatialFilter"),
        ("sub_2", "Sub_2"),
    ],
)
def test_to_camel_case(table, name):
    assert to_camel_case(table) == name


@pytest.mark.parametrize(
    ("class_", "table"),
    [(dj.Manual, "roi"), (dj.Lookup, "#roi"), (dj.Imported, "_roi"), (dj.Computed, "__roi")],
)
def test_names_of_tables_by_tier(class_, table):
    assert type("Roi", (class_,), {})().table_name == table


@pytest.mark.parametrize(
    ("table", "tier"),
    [
        ("subject", dj.Manual),
        ("session2", dj.Manual),
        ("e_e_g", dj.Manual),
        ("#e_e_g", dj.Lookup),
        ("_raw_data", dj.Imported),
        ("__r_o_i", dj.Computed),
        ("session__trial", dj.Part),
        ("session__two_photon_scan2_p", dj.Part),
        ("#probe__channel", dj.Part),
        ("_ephys__channel", dj.Part),
        ("__roi__mask", dj.Part),
        ("~log", None),
        ("~jobs", None),
        ("~external_raw", None),
        ("a__b__c", None),
        ("sub_2", None),
        ("a_", None),
        ("9x", None),
        ("Subject", None),
        ("", None),
        ("#", None),
        ("##a", None),
        ("___a", None),
        ("a___b", None),
        ("_#a", None),
        ("a b", None),
        ("é", None),
        ("subject\n", None),
    ],
)
def test_tier_of(table, tier):
    assert tier_of(table) is (None if tier is None else getattr(dj, tier.__name__))


def test_at_most_one_tier_matches():
    for table in ("subject", "#subject", "_subject", "__subject", "subject__part", "_a__b"):
        matching = [
            tier
            for tier in (dj.Manual, dj.Lookup, dj.Computed, dj.Imported, dj.Part)
            if re.fullmatch(tier.tier_regexp, table)
        ]
        assert len(matching) == 1


@pytest.mark.parametrize(
    ("table", "master"),
    [
        ("`lab`.`session__trial`", "`lab`.`session`"),
        ("`lab`.`_ephys__channel`", "`lab`.`_ephys`"),
        ("`lab`.`__roi__mask`", "`lab`.`__roi`"),
        ("`lab`.`#probe__channel_group`", "`lab`.`#probe`"),
        ("`lab`.`two_photon_scan2_p__field`", "`lab`.`two_photon_scan2_p`"),
        ("`my-lab`.`session__trial`", "`my-lab`.`session`"),
        ("`a__b`.`session`", ""),
        ("`a__b`.`session__trial`", "`a__b`.`session`"),
        ("`lab`.`session`", ""),
        ("`lab`.`#probe`", ""),
        ("`lab`.`_raw_data`", ""),
        ("`lab`.`__roi`", ""),
        ("`lab`.`~jobs`", ""),
        ("`lab`.`~external_a__b`", ""),
    ],
)
def test_get_master(table, master):
    assert get_master(table) == master


def test_split_full_table_name():
    assert split_full_table_name("`my-lab`.`#probe__channel`") == ("my-lab", "#probe__channel")


@pytest.mark.parametrize("name", ["", "subject", "lab.subject", "`lab`.subject", "`a`.`b`.`c`"])
def test_names_that_are_no_full_table_names(name):
    with pytest.raises(DataJointError, match="does not name a table"):
        split_full_table_name(name)


# -- hashes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({}, "d41d8cd98f00b204e9800998ecf8427e"),
        ({"a": 1}, "c4ca4238a0b923820dcc509a6f75849b"),
        ({"b": "x", "a": 1}, "38684612f0c6bb6dfa16da92f4a6878f"),
        ({"B": 1, "a": 2}, "c20ad4d76fe97759aa27a0c99bff6710"),
        ({"a": 2, "B": 1}, "c20ad4d76fe97759aa27a0c99bff6710"),
        ({"d": dt.datetime(2020, 1, 1)}, "d2b43f346b34ffacafdeb6a38cfcb971"),
        ({"u": UUID(int=1)}, "c96589eefb0828c07179095bcd0cef5f"),
        ({"f": 1.5}, "6008647277c4454cecd97d33c069f0ca"),
        ({"D": Decimal("1.50")}, "a6acbd7fe3dcc4f4328712278f6da218"),
        ({"n": None}, "6adf97f83acf6453d4a6a4b1070f3754"),
        (
            {
                "a": 1,
                "b": "x",
                "d": dt.date(2020, 1, 2),
                "dt": dt.datetime(2020, 1, 2, 3, 4, 5, 678000),
                "f": Decimal("1.50"),
                "u": UUID(int=5),
            },
            "61f60075cd709db400185c49e9eba4fb",
        ),
        (
            {
                "a": 1,
                "b": 1,
                "ch": "q",
                "d": 0.1,
                "e": "x",
                "f": 1.5,
                "t": dt.timedelta(hours=3, minutes=4, seconds=5),
                "y": 2001,
            },
            "ea2dc29da357f802ff9dfe7adfb7b13e",
        ),
    ],
)
def test_key_hash(mapping, expected):
    assert key_hash(mapping) == expected
    assert key_hash(dict(reversed(mapping.items()))) == expected
    assert dj.key_hash(mapping) == expected


def test_fetched_keys_hash_as_the_formats_say(schema):
    @schema
    class Key(dj.Manual):
        definition = """
        a : int
        b : bool
        ch : char(3)
        d : double
        e : enum('x', 'z')
        f : float
        t : time
        y : year
        """

    Key.insert1((1, True, "q ", 0.1, "X", 1.5, "03:04:05", "01"))
    (key,) = Key.fetch("KEY")
    assert key_hash(key) == "ea2dc29da357f802ff9dfe7adfb7b13e"


BUFFERS = [
    (b"", "", "d41d8cd9-8f00-b204-e980-0998ecf8427e"),
    (b"abc", "", "90015098-3cd2-4fb0-d696-3f7d28e17f72"),
    (b"abc", "name.txt\0", "77aab6bf-8fe1-8e97-e70c-ef100ada2baf"),
    (b"", "rel/path.bin", "083b0b5c-35c9-04ff-babf-e7641ac3c110"),
    (b"", "é", "66ddcd97-cfde-abb2-f6fb-8a999b4bc76f"),
    (pack([1, 2]), "", "4745e06b-be35-0101-394e-4e957cc5adfa"),
]


@pytest.mark.parametrize(("buffer", "init_string", "expected"), BUFFERS)
def test_uuids(buffer, init_string, expected, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(buffer)
    assert uuid_from_buffer(buffer, init_string) == UUID(expected)
    assert uuid_from_stream(io.BytesIO(buffer), init_string) == UUID(expected)
    assert uuid_from_file(path, init_string) == UUID(expected)
    assert uuid_from_file(str(path), init_string=init_string) == UUID(expected)


def test_defaults_of_uuids():
    assert uuid_from_buffer() == UUID("d41d8cd9-8f00-b204-e980-0998ecf8427e")
    assert uuid_from_buffer(b"abc") == uuid_from_stream(io.BytesIO(b"abc"))


def test_streams_are_hashed_from_where_they_stand():
    stream = io.BytesIO(b"xyabc")
    stream.seek(2)
    assert uuid_from_stream(stream) == uuid_from_buffer(b"abc")
    assert stream.read() == b""


def test_long_streams():
    content = bytes(range(256)) * 12_345  # several chunks
    assert uuid_from_stream(io.BytesIO(content), "x") == uuid_from_buffer(content, "x")
