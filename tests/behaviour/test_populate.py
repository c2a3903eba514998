"""Tables that compute themselves: manual chapter 9."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

import datajoint as dj
from datajoint.errors import DataJointError, DuplicateError

from .relations import assert_rows

DONE = {"success_count": 0, "error_list": []}


def segments(image, threshold):
    """Find the runs of pixels over a threshold: their indices and weights."""
    over = np.flatnonzero(image.ravel() > threshold)
    runs = np.split(over, np.flatnonzero(np.diff(over) > 1) + 1) if over.size else []
    return [(run, image.ravel()[run]) for run in runs]


def image_of(image_id):
    return np.random.default_rng(image_id).random((4, 8))


@pytest.fixture
def pipeline(schema):
    """The pipeline of 9.1 to 9.3; `calls` records every key that is made."""
    calls = []
    failing = {}

    @schema
    class Image(dj.Manual):
        definition = """
        image_id : int
        ---
        image : longblob
        """

    @schema
    class Filter(dj.Lookup):
        definition = """
        filter : varchar(10)
        ---
        factor : float
        """
        contents = [("half", 0.5), ("twice", 2.0)]  # noqa: RUF012

    @schema
    class FilteredImage(dj.Computed):
        definition = """
        # Filtered image
        -> Image
        -> Filter
        ---
        filtered_image : longblob
        """

        def make(self, key):
            calls.append(dict(key))
            image = (Image & key).fetch1("image")
            key["filtered_image"] = image * (Filter & key).fetch1("factor")
            self.insert1(key)

    @schema
    class Segmentation(dj.Computed):
        definition = """ # image segmentation
        -> Image
        """

        class ROI(dj.Part):
            definition = """ # Region of interest resulting from segmentation
            -> Segmentation
            roi : smallint # roi number
            ---
            roi_pixels : longblob # indices of pixels
            roi_weights : longblob # weights of pixels
            """

        def make(self, key):
            calls.append(dict(key))
            image = (Image & key).fetch1("image")
            self.insert1(key)
            count = itertools.count()
            Segmentation.ROI.insert(
                dict(key, roi=next(count), roi_pixels=pixels, roi_weights=weights)
                for pixels, weights in segments(image, 0.5)
            )
            if key["image_id"] in failing:
                raise failing[key["image_id"]]

    Image.insert((i, image_of(i)) for i in (1, 2, 3, 4))
    return SimpleNamespace(
        Image=Image,
        Filter=Filter,
        FilteredImage=FilteredImage,
        Segmentation=Segmentation,
        calls=calls,
        failing=failing,
    )


KEYS = [{"image_id": i, "filter": name} for i in (1, 2, 3, 4) for name in ("half", "twice")]


def sorted_keys(keys):
    return sorted(keys, key=lambda key: (key["image_id"], key["filter"]))


class TestPipeline:
    def test_everything_is_made_once(self, pipeline):
        assert pipeline.FilteredImage.populate() == {"success_count": 8, "error_list": []}
        assert sorted_keys(pipeline.calls) == KEYS
        for key in KEYS:
            result = (pipeline.FilteredImage & key).fetch1("filtered_image")
            factor = {"half": 0.5, "twice": 2.0}[key["filter"]]
            np.testing.assert_array_equal(result, image_of(key["image_id"]) * factor)

    def test_second_call_makes_nothing(self, pipeline):
        pipeline.FilteredImage.populate()
        assert pipeline.FilteredImage.populate() == DONE
        assert len(pipeline.calls) == 8

    def test_only_what_is_missing_is_made(self, pipeline):
        pipeline.FilteredImage.populate()
        (pipeline.FilteredImage & "image_id = 2" & {"filter": "half"}).delete()
        pipeline.Image.insert1((9, image_of(9)))
        pipeline.calls.clear()
        assert pipeline.FilteredImage.populate()["success_count"] == 3
        assert sorted_keys(pipeline.calls) == [
            {"image_id": 2, "filter": "half"},
            {"image_id": 9, "filter": "half"},
            {"image_id": 9, "filter": "twice"},
        ]

    def test_master_and_parts(self, pipeline):
        assert pipeline.Segmentation.populate()["success_count"] == 4
        for i in (1, 2, 3, 4):
            expected = segments(image_of(i), 0.5)
            pixels, weights = (pipeline.Segmentation.ROI & {"image_id": i}).fetch(
                "roi_pixels", "roi_weights", order_by="roi"
            )
            assert len(pixels) == len(expected) > 1
            for index, (run, weight) in enumerate(expected):
                np.testing.assert_array_equal(pixels[index], run)
                np.testing.assert_array_equal(weights[index], weight)

    def test_summary_query(self, pipeline):
        pipeline.Segmentation.populate()
        query = pipeline.Segmentation.aggr(pipeline.Segmentation.ROI, n="count(*)", last="max(roi)")
        counts = {i: len(segments(image_of(i), 0.5)) for i in (1, 2, 3, 4)}
        assert_rows(query, [{"image_id": i, "n": n, "last": n - 1} for i, n in counts.items()])

    def test_imported_tables_too(self, pipeline, schema, tmp_path):
        (tmp_path / "2.txt").write_text("two")

        @schema
        class Note(dj.Imported):
            definition = """
            -> pipeline.Image
            ---
            text : varchar(20)
            """

            def make(self, key):
                path = tmp_path / f"{key['image_id']}.txt"
                if path.exists():
                    self.insert1({**key, "text": path.read_text()})

        assert Note.populate() == {"success_count": 4, "error_list": []}
        assert_rows(Note(), [{"image_id": 2, "text": "two"}])
        assert Note.progress(display=False) == (3, 4)

    def test_delete_and_populate_again(self, pipeline):
        pipeline.Segmentation.populate()
        rois = len(pipeline.Segmentation.ROI())
        assert (pipeline.Segmentation & "image_id = 3").delete() == 1
        assert len(pipeline.Segmentation.ROI()) < rois
        pipeline.Segmentation.populate()
        assert len(pipeline.Segmentation.ROI()) == rois

    def test_several_entities_for_a_key(self, pipeline, schema):
        @schema
        class Row(dj.Computed):
            definition = """
            -> pipeline.Image
            row : int
            ---
            total : float
            """

            def make(self, key):
                image = (pipeline.Image & key).fetch1("image")
                self.insert({**key, "row": i, "total": line.sum()} for i, line in enumerate(image))

        assert Row.populate() == {"success_count": 4, "error_list": []}
        assert len(Row()) == 16
        assert Row.progress(display=False) == (0, 4)
        (Row & "image_id = 1 and row = 0").delete_quick()
        assert Row.populate() == DONE

    def test_make_of_the_key_source_without_primary_foreign_key(self, schema):
        @schema
        class Alone(dj.Computed):
            definition = "alone : int"

            def make(self, key):
                raise AssertionError("never called")

        with pytest.raises(DataJointError, match="key_source"):
            Alone.populate()


class TestErrors:
    def test_error_rolls_back_master_and_parts(self, pipeline):
        pipeline.failing[3] = ValueError("bad image")
        with pytest.raises(ValueError, match="bad image"):
            pipeline.Segmentation.populate()
        assert sorted(pipeline.Segmentation.fetch("image_id").tolist()) == [1, 2]
        assert set(pipeline.Segmentation.ROI.fetch("image_id").tolist()) == {1, 2}
        assert not pipeline.Segmentation.connection.in_transaction
        assert pipeline.calls[-1] == {"image_id": 3}

    def test_it_goes_on_after_the_cause_is_gone(self, pipeline):
        pipeline.failing[1] = ValueError("bad image")
        with pytest.raises(ValueError, match="bad image"):
            pipeline.Segmentation.populate()
        pipeline.failing.clear()
        assert pipeline.Segmentation.populate()["success_count"] == 4

    def test_suppress_errors(self, pipeline):
        pipeline.failing.update({2: ValueError("bad image"), 4: KeyError("k")})
        result = pipeline.Segmentation.populate(suppress_errors=True)
        assert result == {
            "success_count": 2,
            "error_list": [
                ({"image_id": 2}, "ValueError: bad image"),
                ({"image_id": 4}, "KeyError: 'k'"),
            ],
        }
        assert sorted(pipeline.Segmentation.fetch("image_id").tolist()) == [1, 3]
        assert set(pipeline.Segmentation.ROI.fetch("image_id").tolist()) == {1, 3}

    def test_return_exception_objects(self, pipeline):
        error = ValueError("bad image")
        pipeline.failing[2] = error
        result = pipeline.Segmentation.populate(suppress_errors=True, return_exception_objects=True)
        assert result == {"success_count": 3, "error_list": [({"image_id": 2}, error)]}
        assert result["error_list"][0][1] is error

    def test_exception_objects_only_with_suppressed_errors(self, pipeline):
        pipeline.failing[2] = ValueError("bad image")
        with pytest.raises(ValueError, match="bad image"):
            pipeline.Segmentation.populate(return_exception_objects=True)

    def test_error_without_a_message(self, pipeline):
        pipeline.failing[2] = RuntimeError()
        result = pipeline.Segmentation.populate(suppress_errors=True)
        assert result["error_list"] == [({"image_id": 2}, "RuntimeError")]

    def test_errors_of_the_database(self, pipeline, schema):
        @schema
        class Twice(dj.Computed):
            definition = "-> pipeline.Image"

            def make(self, key):
                self.insert1(key)
                self.insert1(key)

        with pytest.raises(DuplicateError):
            Twice.populate()
        result = Twice.populate(suppress_errors=True, return_exception_objects=True)
        assert result["success_count"] == 0
        assert [type(error) for _, error in result["error_list"]] == [DuplicateError] * 4
        assert len(Twice()) == 0

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_interrupts_roll_back_and_stop(self, pipeline, error):
        pipeline.failing[2] = error()
        with pytest.raises(error):
            pipeline.Segmentation.populate(suppress_errors=False)
        assert pipeline.Segmentation.fetch("image_id").tolist() == [1]
        assert not pipeline.Segmentation.connection.in_transaction

    def test_system_exit_is_never_suppressed(self, pipeline):
        pipeline.failing[2] = SystemExit(3)
        with pytest.raises(SystemExit):
            pipeline.Segmentation.populate(suppress_errors=True)
        assert pipeline.Segmentation.fetch("image_id").tolist() == [1]

    def test_make_missing(self, pipeline, schema):
        @schema
        class NoMake(dj.Computed):
            definition = "-> pipeline.Image"

        with pytest.raises(NotImplementedError) as error:
            NoMake.populate()
        assert "NoMake" in str(error.value)
        assert "make" in str(error.value)
        assert not NoMake.connection.in_transaction

    def test_invisible_to_others_until_make_is_done(self, pipeline, schema, connect):
        seen = []
        other = dj.FreeTable(connect(), pipeline.Image.full_table_name)

        @schema
        class Watched(dj.Computed):
            definition = "-> pipeline.Image"

            def make(self, key):
                self.insert1(key)
                table = dj.FreeTable(other.connection, self.full_table_name)
                seen.append((len(self), len(table)))

        Watched.populate()
        assert seen == [(1, 0), (2, 1), (3, 2), (4, 3)]

    def test_nested_transaction_in_make_is_refused(self, pipeline, schema):
        @schema
        class Nested(dj.Computed):
            definition = "-> pipeline.Image"

            def make(self, key):
                with self.connection.transaction:
                    self.insert1(key)

        with pytest.raises(DataJointError, match="nested"):
            Nested.populate()
        assert len(Nested()) == 0
        assert not Nested.connection.in_transaction


class TestInsertOutsideOfMake:
    def test_refused(self, pipeline):
        for attempt in (
            lambda: pipeline.Segmentation.insert1({"image_id": 1}),
            lambda: pipeline.Segmentation().insert1({"image_id": 1}),
            lambda: pipeline.Segmentation.insert([{"image_id": 1}]),
            lambda: pipeline.Segmentation.insert(pipeline.Image.proj()),
        ):
            with pytest.raises(DataJointError, match="allow_direct_insert=True") as error:
                attempt()
            assert "segmentation`" in str(error.value)
        assert len(pipeline.Segmentation()) == 0

    def test_allowed_when_asked_for(self, pipeline):
        pipeline.Segmentation.insert1({"image_id": 1}, allow_direct_insert=True)
        pipeline.Segmentation.insert([{"image_id": 2}], allow_direct_insert=True)
        assert sorted(pipeline.Segmentation.fetch("image_id").tolist()) == [1, 2]
        assert pipeline.Segmentation.populate()["success_count"] == 2

    def test_refused_after_populate(self, pipeline):
        pipeline.Segmentation.populate("image_id = 1")
        with pytest.raises(DataJointError, match="allow_direct_insert"):
            pipeline.Segmentation.insert1({"image_id": 2})

    def test_refused_after_a_failed_populate(self, pipeline):
        pipeline.failing[1] = ValueError("bad image")
        table = pipeline.Segmentation()
        with pytest.raises(ValueError, match="bad image"):
            table.populate()
        with pytest.raises(DataJointError, match="allow_direct_insert"):
            table.insert1({"image_id": 2})

    def test_in_make_by_the_name_of_the_class(self, schema, pipeline):
        """As in 0.14; other auto-populated tables have a `make` of their own."""
        Copied = pipeline.Image  # noqa: F841 - in the definition

        @schema
        class Copy(dj.Computed):
            definition = "-> Copied"

            def make(self, key):
                if key["image_id"] == 1:
                    Copy.insert1(key)
                elif key["image_id"] == 2:
                    Copy().insert([key])
                else:
                    pipeline.Segmentation.insert1(key)

        result = Copy.populate(suppress_errors=True)
        assert result["success_count"] == 2
        assert all("`__segmentation`" in text for _, text in result["error_list"])
        with pytest.raises(DataJointError, match="allow_direct_insert"):
            Copy.insert1({"image_id": 3})

    def test_parts_may_be_inserted(self, pipeline):
        pipeline.Segmentation.insert1({"image_id": 1}, allow_direct_insert=True)
        pipeline.Segmentation.ROI.insert1((1, 0, [1], [0.5]))
        assert len(pipeline.Segmentation.ROI()) == 1


class TestOptions:
    def made(self, pipeline):
        return [(key["image_id"], key["filter"]) for key in pipeline.calls]

    @pytest.mark.parametrize(
        "restrictions",
        [
            ("image_id = 1",),
            ({"image_id": 1},),
            ("image_id < 3", "image_id <> 2"),
            ("image_id < 3", {"image_id": 1}),
            ([{"image_id": 1}, "image_id = 77"],),
            (dj.AndList(["image_id = 1", True]),),
        ],
        ids=repr,
    )
    def test_restrictions(self, pipeline, restrictions):
        result = pipeline.FilteredImage.populate(*restrictions)
        assert result["success_count"] == 2
        assert self.made(pipeline) == [(1, "half"), (1, "twice")]

    def test_restriction_by_a_query(self, pipeline):
        pipeline.FilteredImage.populate(pipeline.Image & "image_id = 4", 'filter = "half"')
        assert self.made(pipeline) == [(4, "half")]
        pipeline.FilteredImage.populate(pipeline.Image & "image_id = 99")
        assert self.made(pipeline) == [(4, "half")]

    def test_restriction_by_an_attribute_that_is_not_in_the_key(self, pipeline):
        with pytest.raises(DataJointError, match="bogus"):
            pipeline.FilteredImage.populate("bogus = 1")
        assert pipeline.FilteredImage.populate({"bogus": 1})["success_count"] == 8

    def test_empty_restriction_list_makes_nothing(self, pipeline):
        assert pipeline.FilteredImage.populate([]) == DONE

    def test_limit(self, pipeline):
        assert pipeline.FilteredImage.populate(limit=3)["success_count"] == 3
        assert pipeline.FilteredImage.populate(limit=3)["success_count"] == 3
        assert pipeline.FilteredImage.populate(limit=3)["success_count"] == 2
        assert sorted(self.made(pipeline)) == sorted((k["image_id"], k["filter"]) for k in KEYS)

    def test_max_calls(self, pipeline):
        assert pipeline.FilteredImage.populate(max_calls=3)["success_count"] == 3
        assert len(pipeline.calls) == 3
        assert pipeline.FilteredImage.populate(max_calls=0) == DONE
        assert len(pipeline.calls) == 3

    def test_order(self, pipeline):
        pipeline.FilteredImage.populate(order="original")
        original = list(pipeline.calls)
        assert sorted_keys(original) == KEYS
        pipeline.FilteredImage.delete()
        pipeline.calls.clear()
        pipeline.FilteredImage.populate(order="reverse")
        assert pipeline.calls == original[::-1]

    def test_random_order(self, pipeline):
        pipeline.FilteredImage.populate(order="random")
        assert sorted(self.made(pipeline)) == [(k["image_id"], k["filter"]) for k in KEYS]

    def test_bad_order(self, pipeline):
        with pytest.raises(DataJointError, match="bogus"):
            pipeline.FilteredImage.populate(order="bogus")
        assert pipeline.calls == []

    def test_limit_counts_before_the_order_is_reversed(self, pipeline):
        pipeline.FilteredImage.populate(limit=2)
        first = list(pipeline.calls)
        pipeline.FilteredImage.delete()
        pipeline.calls.clear()
        pipeline.FilteredImage.populate(order="reverse", limit=2)
        assert pipeline.calls == first[::-1]

    def test_display_progress(self, pipeline, capsys):
        pipeline.FilteredImage.populate(display_progress=True)
        shown = capsys.readouterr().err
        assert "FilteredImage" in shown
        assert "8/8" in shown
        assert len(pipeline.calls) == 8

    def test_no_progress_by_default(self, pipeline, capsys):
        pipeline.FilteredImage.populate()
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "8/8" not in captured.err

    def test_keys_bypass_the_key_source(self, pipeline):
        keys = [KEYS[5], KEYS[2]]
        assert pipeline.FilteredImage.populate(keys=keys)["success_count"] == 2
        assert pipeline.calls == keys
        assert len(pipeline.FilteredImage()) == 2

    def test_keys_that_are_made_already(self, pipeline):
        pipeline.FilteredImage.populate(keys=KEYS[:1])
        pipeline.FilteredImage.populate(keys=KEYS[:2])
        assert pipeline.calls == KEYS[:2]

    def test_keys_from_a_generator(self, pipeline):
        pipeline.FilteredImage.populate(keys=(key for key in KEYS[:3]))
        assert pipeline.calls == KEYS[:3]

    def test_make_kwargs(self, pipeline, schema):
        @schema
        class Scaled(dj.Computed):
            definition = """
            -> pipeline.Image
            ---
            factor : float
            """

            def make(self, key, factor=1, **others):
                self.insert1({**key, "factor": factor + others.get("extra", 0)})

        Scaled.populate("image_id = 1", make_kwargs={"factor": 2.5, "extra": 1})
        Scaled.populate("image_id = 2")
        assert Scaled.fetch("factor", order_by="KEY").tolist() == [3.5, 1.0]

    def test_make_may_change_its_key(self, pipeline, schema):
        @schema
        class Changing(dj.Computed):
            definition = """
            -> pipeline.Image
            ---
            x : int
            """

            def make(self, key):
                key["x"] = 1
                self.insert1(key)
                key.clear()
                if (len(self)) == 2:
                    raise ValueError("second")

        result = Changing.populate(suppress_errors=True)
        assert result["error_list"][0] == ({"image_id": 2}, "ValueError: second")

    def test_legacy_make_tuples(self, pipeline, schema):
        @schema
        class Legacy(dj.Computed):
            definition = "-> pipeline.Image"

            def _make_tuples(self, key):
                self.insert1(key)

        assert Legacy.populate()["success_count"] == 4
        assert sorted(Legacy.fetch("image_id").tolist()) == [1, 2, 3, 4]

    def test_on_an_instance(self, pipeline):
        assert pipeline.FilteredImage().populate()["success_count"] == 8

    def test_refused_in_a_transaction(self, pipeline, connection):
        with connection.transaction, pytest.raises(DataJointError, match="transaction"):
            pipeline.FilteredImage.populate()
        assert pipeline.calls == []

    def test_refused_on_a_restricted_table(self, pipeline):
        with pytest.raises(DataJointError, match="restricted"):
            (pipeline.FilteredImage & "image_id = 1").populate()
        with pytest.raises(DataJointError, match="restricted"):
            (pipeline.FilteredImage & "image_id = 1").progress()
        assert pipeline.calls == []

    def test_manual_tables_cannot_be_populated(self, pipeline):
        with pytest.raises(AttributeError):
            pipeline.Image.populate()


class TestProgress:
    def test_counts(self, pipeline):
        assert pipeline.FilteredImage.progress() == (8, 8)
        pipeline.FilteredImage.populate(max_calls=3)
        assert pipeline.FilteredImage.progress(display=False) == (5, 8)
        pipeline.FilteredImage.populate()
        assert pipeline.FilteredImage.progress() == (0, 8)

    def test_restrictions(self, pipeline):
        pipeline.FilteredImage.populate("image_id = 1")
        assert pipeline.FilteredImage.progress("image_id < 3", display=False) == (2, 4)
        assert pipeline.FilteredImage.progress({"filter": "half"}, "image_id = 1") == (0, 1)
        assert pipeline.FilteredImage.progress("image_id = 99") == (0, 0)

    def test_display(self, pipeline, capsys, caplog):
        pipeline.FilteredImage.populate(max_calls=2)
        pipeline.FilteredImage.progress()
        captured = capsys.readouterr()
        shown = captured.out + captured.err + caplog.text
        assert "FilteredImage" in shown
        assert "2 of 8 (25.0%)" in shown

    def test_no_display(self, pipeline, capsys, caplog):
        pipeline.FilteredImage.progress(display=False)
        captured = capsys.readouterr()
        assert captured.out + captured.err + caplog.text == ""


class TestKeySource:
    @pytest.fixture
    def base(self, schema):
        @schema
        class Stimulus(dj.Lookup):
            definition = "stimulus_type : varchar(10)"
            contents = [("Visual",), ("Auditory",)]  # noqa: RUF012

        @schema
        class Modality(dj.Lookup):
            definition = "modality : varchar(10)"
            contents = [("EEG",), ("fMRI",), ("PET",)]  # noqa: RUF012

        @schema
        class Recording(dj.Manual):
            definition = """
            recording : int
            ---
            recording_type : enum('EEG', 'PET')
            -> Stimulus
            """

        Recording.insert([(1, "EEG", "Visual"), (2, "PET", "Visual"), (3, "EEG", "Auditory")])
        return SimpleNamespace(Stimulus=Stimulus, Modality=Modality, Recording=Recording)

    def test_default_is_the_join_of_the_primary_parents(self, base, schema):
        @schema
        class Protocol(dj.Computed):
            definition = """
            -> base.Stimulus
            -> base.Modality
            """

            def make(self, key):
                self.insert1(key)

        expected = [
            {"stimulus_type": s, "modality": m}
            for s in ("Visual", "Auditory")
            for m in ("EEG", "fMRI", "PET")
        ]
        assert_rows(Protocol.key_source, expected)
        assert_rows(Protocol().key_source, expected)
        assert Protocol.populate()["success_count"] == 6
        assert_rows(Protocol(), expected)

    def test_default_has_only_the_primary_key(self, base, schema):
        @schema
        class Result(dj.Computed):
            definition = "-> base.Recording"

            def make(self, key):
                assert set(key) == {"recording"}
                self.insert1(key)

        assert Result.key_source.heading.names == ["recording"]
        assert Result.populate()["success_count"] == 3

    def test_secondary_parents_are_no_source(self, base, schema):
        @schema
        class Result(dj.Computed):
            definition = """
            -> base.Recording
            ---
            -> base.Modality
            """

            def make(self, key):
                self.insert1({**key, "modality": "EEG"})

        assert Result.key_source.primary_key == ["recording"]
        assert Result.populate()["success_count"] == 3

    def test_renamed_foreign_keys(self, base, schema):
        @schema
        class Pair(dj.Computed):
            definition = """
            -> base.Recording.proj(first='recording')
            -> base.Recording.proj(second='recording')
            ---
            total : int
            """

            def make(self, key):
                self.insert1({**key, "total": key["first"] * 10 + key["second"]})

        expected = [{"first": a, "second": b} for a in (1, 2, 3) for b in (1, 2, 3)]
        assert_rows(Pair.key_source, expected)
        assert Pair.populate()["success_count"] == 9
        assert_rows(Pair(), [{**k, "total": k["first"] * 10 + k["second"]} for k in expected])
        assert Pair.progress(display=False) == (0, 9)

    def test_custom_property(self, base, schema):
        @schema
        class EEG(dj.Imported):
            definition = "-> base.Recording"

            @property
            def key_source(self):
                return base.Recording & 'recording_type = "EEG"'

            def make(self, key):
                assert set(key) == {"recording"}
                self.insert1(key)

        assert EEG.progress(display=False) == (2, 2)
        assert EEG.populate()["success_count"] == 2
        assert sorted(EEG.fetch("recording").tolist()) == [1, 3]
        assert sorted(EEG.key_source.fetch("recording").tolist()) == [1, 3]

    def test_restriction_by_a_secondary_attribute_of_the_key_source(self, base, schema):
        @schema
        class Result(dj.Computed):
            definition = "-> base.Recording"
            key_source = base.Recording

            def make(self, key):
                self.insert1(key)

        assert Result.populate('stimulus_type = "Auditory"')["success_count"] == 1
        assert Result.fetch("recording").tolist() == [3]

    def test_custom_attribute(self, base, schema):
        @schema
        class EEG(dj.Imported):
            definition = "-> base.Recording"
            key_source = base.Recording & 'recording_type = "EEG"'

            def make(self, key):
                self.insert1(key)

        assert EEG.populate()["success_count"] == 2
        assert sorted(EEG.fetch("recording").tolist()) == [1, 3]

    def test_custom_attribute_that_is_a_table_class(self, base, schema):
        @schema
        class Result(dj.Computed):
            definition = "-> base.Recording"
            key_source = base.Recording

            def make(self, key):
                self.insert1(key)

        assert Result.populate()["success_count"] == 3
        assert Result.progress(display=False) == (0, 3)

    def test_key_source_with_fewer_attributes_than_the_table(self, base, schema):
        @schema
        class Result(dj.Computed):
            definition = """
            -> base.Recording
            -> base.Modality
            """

            @property
            def key_source(self):
                return base.Recording.proj()

            def make(self, key):
                assert set(key) == {"recording"}
                self.insert({**key, "modality": m} for m in base.Modality.fetch("modality"))

        assert Result.populate()["success_count"] == 3
        assert len(Result()) == 9
        assert Result.populate() == DONE

    def test_key_source_made_from_the_default(self, base, schema):
        @schema
        class Result(dj.Computed):
            definition = """
            -> base.Recording
            -> base.Modality
            """

            @property
            def key_source(self):
                return super().key_source & "recording = 2" & {"modality": "PET"}

            def make(self, key):
                self.insert1(key)

        assert Result.populate()["success_count"] == 1
        assert_rows(Result(), [{"recording": 2, "modality": "PET"}])

    def test_key_source_that_depends_on_another_computed_table(self, base, schema):
        @schema
        class First(dj.Computed):
            definition = """
            -> base.Recording
            ---
            good : bool
            """

            def make(self, key):
                self.insert1({**key, "good": key["recording"] != 2})

        @schema
        class Second(dj.Computed):
            definition = "-> First"

            @property
            def key_source(self):
                return First & "good"

            def make(self, key):
                self.insert1(key)

        assert Second.populate() == DONE
        First.populate()
        assert Second.populate()["success_count"] == 2
        assert sorted(Second.fetch("recording").tolist()) == [1, 3]

    def test_aggregation_as_key_source(self, base, schema):
        @schema
        class Result(dj.Computed):
            definition = """
            -> base.Stimulus
            ---
            n : int
            """

            @property
            def key_source(self):
                return base.Stimulus.aggr(base.Recording, n="count(*)") & "n > 1"

            def make(self, key):
                assert set(key) == {"stimulus_type"}
                self.insert1({**key, "n": len(base.Recording & key)})

        assert Result.populate()["success_count"] == 1
        assert_rows(Result(), [{"stimulus_type": "Visual", "n": 2}])

    @pytest.mark.parametrize("bad", [5, None, "recording"], ids=repr)
    def test_what_is_no_query(self, base, schema, bad):
        @schema
        class Result(dj.Computed):
            definition = "-> base.Recording"
            key_source = bad

            def make(self, key):
                self.insert1(key)

        with pytest.raises(DataJointError, match="key_source"):
            Result.populate()

    def test_key_source_with_an_attribute_that_the_table_lacks(self, base, schema):
        @schema
        class Result(dj.Computed):
            definition = "-> base.Recording"
            key_source = base.Recording * base.Modality

            def make(self, key):
                self.insert1(key)

        with pytest.raises(DataJointError, match="modality"):
            Result.populate()


class TestMultipleParts:
    def test_parts_that_depend_on_each_other(self, schema):
        @schema
        class Array(dj.Lookup):
            definition = "array : int"
            contents = [(1,), (2,)]  # noqa: RUF012

        @schema
        class ArrayResponse(dj.Computed):
            definition = """
            -> Array
            """

            class ElectrodeResponse(dj.Part):
                definition = """
                -> master
                electrode: int    # electrode number on the probe
                """

            class ChannelResponse(dj.Part):
                definition = """
                -> ArrayResponse.ElectrodeResponse
                channel: int
                ---
                response: longblob # response of a channel
                """

            def make(self, key):
                self.insert1(key)
                self.ElectrodeResponse.insert({**key, "electrode": i} for i in (1, 2))
                self.ChannelResponse.insert(
                    {**key, "electrode": i, "channel": j, "response": [i, j]}
                    for i in (1, 2)
                    for j in (1, 2, 3)
                )

        assert ArrayResponse.populate()["success_count"] == 2
        assert len(ArrayResponse.ElectrodeResponse()) == 4
        assert len(ArrayResponse.ChannelResponse()) == 12
        key = {"array": 2, "electrode": 1, "channel": 3}
        assert (ArrayResponse.ChannelResponse & key).fetch1("response") == [1, 3]
        assert (ArrayResponse & "array = 1").delete() == 1
        assert len(ArrayResponse.ChannelResponse()) == 6

    def test_sibling_part_by_its_plain_name(self, schema):
        @schema
        class Whole(dj.Manual):
            definition = "whole : int"

            class One(dj.Part):
                definition = """
                -> master
                one : int
                """

            class Two(dj.Part):
                definition = """
                -> One
                two : int
                """

        Whole.insert1((1,))
        Whole.One.insert1((1, 1))
        Whole.Two.insert1((1, 1, 1))
        assert Whole.Two.primary_key == ["whole", "one", "two"]
