"""What fetches the results of queries, in all the forms that users ask for.

Manual 8.3 and 8.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

from . import fetch as fetching
from . import frames
from .condition import Queryable, Top
from .connection import Connection
from .decoding import Options
from .settings import config
from .sql.select import Writer

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_Self = TypeVar("_Self", bound="Fetchable")


class Fetchable(Queryable):
    """Base of query expressions: their results."""

    @property
    def connection(self) -> Connection:
        raise NotImplementedError

    def __and__(self: _Self, restriction: Any) -> _Self:
        raise NotImplementedError

    def fetch(
        self,
        *attrs: Any,
        offset: int | None = None,
        limit: int | None = None,
        order_by: str | Iterable[str] | None = None,
        format: str | None = None,
        as_dict: bool | None = None,
        squeeze: bool = False,
        download_path: str | Path = ".",
        lazy: bool = False,
    ) -> Any:
        """Fetch the result.

        Parameters
        ----------
        *attrs : str
            The attributes to fetch, each into a variable of its own; ``"KEY"`` gives the primary
            keys as dicts. All attributes by default.
        offset, limit : int, optional
            Pass over the first entities, and fetch so many.
        order_by : str or iterable of str, optional
            As in ``"name DESC"``; ``"KEY"`` stands for the primary key.
        format : {"array", "frame"}, optional
            What is returned when no attributes are given: a structured array (default), or a
            pandas ``DataFrame`` indexed by the primary key.
        as_dict : bool, optional
            Return a list of dicts.
        squeeze : bool
            Remove singleton dimensions from arrays in blobs.
        download_path : str or Path
            Where attached files are saved.
        lazy : bool
            Read nothing from stores, and save no files: values of `blob@store`, `attach`,
            `attach@store` and `filepath@store` come as handles, whose method ``load()`` gives the
            value (:class:`datajoint.storage.handles.Handle`).

        Returns
        -------
        numpy.ndarray, pandas.DataFrame, list of dict, or list of arrays

        Raises
        ------
        DataJointError
            When an attribute is unknown or the arguments contradict each other.

        Notes
        -----
        Manual 8.3.
        """
        query = self._ordered(order_by, limit, offset)
        if attrs == (...,):  # which existing code writes for all of them
            attrs = ()
        if format is None and not attrs and not as_dict:
            format = config["fetch_format"]
        options = Options(squeeze, download_path, lazy)
        return fetching.fetch(query, attrs, format, as_dict, options)

    def fetch1(
        self,
        *attrs: Any,
        as_dict: bool = False,
        squeeze: bool = False,
        download_path: str | Path = ".",
        lazy: bool = False,
    ) -> Any:
        """Fetch the only entity of the result.

        Parameters
        ----------
        *attrs : str
            The attributes to fetch; all of them, as a dict, by default.
        as_dict : bool
            Whether attributes that are given come as a dict too (manual 5.7.2).
        squeeze : bool
            Remove singleton dimensions from arrays in blobs.
        download_path : str or Path
            Where attached files are saved.
        lazy : bool
            Read nothing from stores, and save no files: values of `blob@store`, `attach`,
            `attach@store` and `filepath@store` come as handles, whose method ``load()`` gives the
            value (:class:`datajoint.storage.handles.Handle`).

        Returns
        -------
        dict, value or tuple of values

        Raises
        ------
        DataJointError
            When the result has no entity or several.

        Notes
        -----
        Manual 8.3.2.
        """
        return fetching.fetch1(self, attrs, as_dict, Options(squeeze, download_path, lazy))

    def head(self, limit: int = 25, **fetch_kwargs: Any) -> Any:
        """Fetch the first entities by primary key."""
        return self.fetch(order_by="KEY", limit=limit, **fetch_kwargs)

    def tail(self, limit: int = 25, **fetch_kwargs: Any) -> Any:
        """Fetch the last entities by primary key, in its order."""
        return self.fetch(order_by="KEY DESC", limit=limit, **fetch_kwargs)[::-1]

    def to_dicts(
        self,
        *attrs: Any,
        order_by: str | Iterable[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
        squeeze: bool = False,
        download_path: str | Path = ".",
        lazy: bool = False,
    ) -> list[dict[str, Any]]:
        """Fetch the result as a list of dicts.

        Parameters
        ----------
        *attrs : str
            The attributes to fetch; ``"KEY"`` stands for those of the primary key. All by default.
        order_by, limit, offset, squeeze, download_path, lazy
            As in :meth:`fetch`.

        Returns
        -------
        list of dict
            NULL is None.

        Raises
        ------
        DataJointError
            When an attribute is unknown.

        Notes
        -----
        Manual 8.3.1.
        """
        query = self._ordered(order_by, limit, offset)
        return fetching.fetch_dicts(query, attrs, Options(squeeze, download_path, lazy))

    def to_arrays(
        self,
        *attrs: Any,
        order_by: str | Iterable[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
        squeeze: bool = False,
        download_path: str | Path = ".",
        lazy: bool = False,
    ) -> npt.NDArray[Any] | tuple[npt.NDArray[Any], ...]:
        """Fetch the result as NumPy arrays.

        Parameters
        ----------
        *attrs : str
            The attributes to fetch, each into an array of its own; ``"KEY"`` gives the primary keys
            as a structured array. All by default.
        order_by, limit, offset, squeeze, download_path, lazy
            As in :meth:`fetch`.

        Returns
        -------
        numpy.ndarray or tuple of numpy.ndarray
            A structured array without `attrs`, the array of the only attribute, or a tuple of
            arrays. NULL is nan among floating-point numbers, and None elsewhere.

        Raises
        ------
        DataJointError
            When an attribute is unknown.

        Notes
        -----
        Manual 8.3.1 and 8.3.2.
        """
        query = self._ordered(order_by, limit, offset)
        options = Options(squeeze, download_path, lazy)
        arrays: npt.NDArray[Any] | tuple[npt.NDArray[Any], ...]
        arrays = fetching.fetch_arrays(query, attrs, options)
        return arrays

    def to_pandas(
        self,
        *attrs: Any,
        order_by: str | Iterable[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
        squeeze: bool = False,
        download_path: str | Path = ".",
        lazy: bool = False,
    ) -> pd.DataFrame:
        """Fetch the result as a data frame of pandas, indexed by the primary key.

        Parameters
        ----------
        *attrs : str
            The attributes that become columns. All by default.
        order_by, limit, offset, squeeze, download_path, lazy
            As in :meth:`fetch`.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        DataJointError
            When an attribute is unknown.

        Notes
        -----
        Manual 8.3.5.
        """
        query = self._ordered(order_by, limit, offset)
        options = Options(squeeze, download_path, lazy)
        frame: pd.DataFrame = fetching.fetch_frame(query, attrs, options)
        return frame

    def to_arrow(
        self,
        *attrs: Any,
        order_by: str | Iterable[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
        squeeze: bool = False,
        download_path: str | Path = ".",
    ) -> pa.Table:
        """Fetch the result as an Arrow table, whose columns have the types of the attributes.

        Parameters
        ----------
        *attrs : str
            The attributes to fetch; ``"KEY"`` stands for those of the primary key. All by default.
        order_by, limit, offset, squeeze, download_path
            As in :meth:`fetch`.

        Returns
        -------
        pyarrow.Table
            NULL is null. Blobs that are all ``bytes`` become binary, and those that are all 1-D
            arrays of numbers of one dtype become lists.

        Raises
        ------
        DataJointError
            When an attribute is unknown, has values that no column can hold, or pyarrow is not
            installed: it comes with ``pip install 'datajoint[arrow]'``.

        Notes
        -----
        Manual 8.3.5.
        """
        query = self._ordered(order_by, limit, offset)
        options = Options(squeeze, download_path)
        table: pa.Table = frames.to_arrow(query, attrs, options)
        return table

    def to_polars(
        self,
        *attrs: Any,
        order_by: str | Iterable[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
        squeeze: bool = False,
        download_path: str | Path = ".",
    ) -> pl.DataFrame:
        """Fetch the result as a data frame of Polars, whose columns have the attributes' types.

        Parameters
        ----------
        *attrs : str
            The attributes to fetch; ``"KEY"`` stands for those of the primary key. All by default.
        order_by, limit, offset, squeeze, download_path
            As in :meth:`fetch`.

        Returns
        -------
        polars.DataFrame
            As :meth:`to_arrow`.

        Raises
        ------
        DataJointError
            As :meth:`to_arrow`; Polars comes with ``pip install 'datajoint[arrow]'``.

        Notes
        -----
        Manual 8.3.5.
        """
        query = self._ordered(order_by, limit, offset)
        options = Options(squeeze, download_path)
        frame: pl.DataFrame = frames.to_polars(query, attrs, options)
        return frame

    def fetch_batches(
        self,
        *attrs: Any,
        size: int | None = None,
        order_by: str | Iterable[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
        squeeze: bool = False,
        download_path: str | Path = ".",
        lazy: bool = False,
    ) -> Iterator[list[dict[str, Any]]]:
        """Iterate over the result in batches, as lists of dicts, with little memory.

        Parameters
        ----------
        *attrs : str
            The attributes to fetch; ``"KEY"`` stands for those of the primary key. All by default.
        size : int, optional
            How many entities are in a batch; the last one may have fewer. By default as many as
            take some megabytes, but not more than some thousands.
        order_by, limit, offset, squeeze, download_path, lazy
            As in :meth:`fetch`.

        Returns
        -------
        iterator of list of dict
            All entities are as they were when the first batch was read, whatever the loop changes.

        Raises
        ------
        DataJointError
            When an attribute is unknown or the size is not positive.
        LostConnectionError
            When the connection is lost after the first batch.

        Notes
        -----
        Manual 8.4.
        """
        query = self._ordered(order_by, limit, offset)
        return fetching.fetch_batches(query, attrs, Options(squeeze, download_path, lazy), size)

    def _ordered(
        self: _Self,
        order_by: str | Iterable[str] | None,
        limit: int | None,
        offset: int | None,
    ) -> _Self:
        if order_by is None and limit is None and not offset:
            return self
        return self & Top(limit, "KEY" if order_by is None else order_by, offset or 0)

    def __len__(self) -> int:
        """Count the entities of the result."""
        writer = Writer(self.connection.dialect)
        ((count,),) = self.connection.rows(writer.count(self.relation))
        return int(count)

    def __bool__(self) -> bool:
        """Tell whether the result has any entity."""
        writer = Writer(self.connection.dialect)
        ((found,),) = self.connection.rows(writer.exists(self.relation))
        return bool(found)

    def __contains__(self, item: Any) -> bool:
        """Tell whether restricting by the item, such as a key, leaves any entity."""
        return bool(self & item)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over the entities as dicts, with little memory (manual 8.4)."""
        return fetching.iterate(self)
