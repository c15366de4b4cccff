"""Contacts and deals in memory: one book for each tenant, so that tenants never see one another."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from examples.crm.models import Contact, Deal, Page
from examples.crm.seed import CONTACTS, DEALS

Row = TypeVar("Row", Contact, Deal)


class Table(Generic[Row]):
    """Rows in the order in which they came; an id is never given out twice."""

    def __init__(self, prefix: str, rows: Iterable[Row]) -> None:
        self._rows: dict[str, Row] = {row.id: row for row in rows}
        self._prefix = prefix
        self._numbers = itertools.count(len(self._rows) + 1)

    def __len__(self) -> int:
        return len(self._rows)

    def new_id(self) -> str:
        """An id that no row has or had."""
        return f"{self._prefix}_{next(self._numbers)}"

    def get(self, row_id: str) -> Row | None:
        """The row, or None."""
        return self._rows.get(row_id)

    def put(self, row: Row) -> Row:
        """Add the row, or put it in the place of the one with its id."""
        self._rows[row.id] = row
        return row

    def remove(self, row_id: str) -> None:
        """Take the row away."""
        del self._rows[row_id]

    def select(self, admits: Callable[[Row], bool], page: Page) -> tuple[list[Row], int]:
        """One page of the rows wanted, and how many there are in all."""
        found = [row for row in self._rows.values() if admits(row)]
        return found[page.offset : page.offset + page.limit], len(found)


class Book:
    """What one tenant has in its CRM; a new one holds the sample data."""

    def __init__(self) -> None:
        self.contacts = Table("cnt", CONTACTS)
        self.deals = Table("deal", DEALS)


class Store:
    """The books of all tenants."""

    def __init__(self) -> None:
        self._books: defaultdict[str, Book] = defaultdict(Book)

    def of(self, tenant: str) -> Book:
        """The tenant's own book."""
        return self._books[tenant]
