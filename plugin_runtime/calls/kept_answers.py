"""Answers that may be given again: bounded in number and bytes, the least recently used go first. Pure.

Answers are kept encoded: what a hit returns is decoded anew, so that its receiver may change it.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from contracts.calls import CallMetadata, CallRequest, CallResult
from contracts.codec import decode, encode

GOOD_STATUS = 200
MOST_ANSWERS = 2000
MOST_BYTES = 16 * 1024 * 1024
LARGEST_BYTES = 1024 * 1024
"""What one answer may have; a larger one is not kept."""

Place = tuple[str, str]
"""Tenant and service."""

Question = tuple[str, str, tuple[tuple[str, tuple[str, ...]], ...], tuple[tuple[str, str], ...]]
"""Version, path, query and headers of a GET: equal questions have equal answers."""


def question_of(version: str, request: CallRequest) -> Question:
    """What makes two GETs equal; repeated values of a query key keep their order, keys have none."""
    query = tuple(sorted((key, tuple(values)) for key, values in request.query.to_json().items()))
    headers = tuple(sorted((name.lower(), value) for name, value in request.headers.items()))
    return version, request.path, query, headers


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer with status 200, as it is kept."""

    body: bytes
    headers: tuple[tuple[str, str], ...]
    metadata: CallMetadata
    kept_at: float
    ends_at: float


@dataclass(slots=True, eq=False)
class Shelf:
    """What is kept of one service in one tenant; another takes its place when something there may have changed.

    Attributes:
        plugin: Whose service it is.
        questions: Those to which answers are kept.
    """

    plugin: str
    questions: set[Question] = field(default_factory=set)


class KeptAnswers:
    """The kept answers of one running instance.

    Args:
        clock: Monotonic seconds.
        most_answers: How many are kept at most.
        most_bytes: How many bytes of data they have together at most.
    """

    def __init__(
        self, clock: Callable[[], float], *, most_answers: int = MOST_ANSWERS, most_bytes: int = MOST_BYTES
    ) -> None:
        self._clock = clock
        self._most_answers = most_answers
        self._most_bytes = most_bytes
        self._shelves: dict[Place, Shelf] = {}
        self._answers: OrderedDict[tuple[Place, Question], Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, place: Place, question: Question) -> CallResult | None:
        """The answer to a question, if one is kept and its time is not over; data and headers are the receiver's own.

        Its ``duration_seconds`` is 0: nobody waited for it.
        """
        kept, now = self._answers.get((place, question)), self._clock()
        if kept is None:
            return None
        if now >= kept.ends_at:
            self._remove(place, question)
            return None
        self._answers.move_to_end((place, question))
        metadata = replace(kept.metadata, duration_seconds=0.0, cached=True, age_seconds=now - kept.kept_at)
        return CallResult(status=GOOD_STATUS, headers=dict(kept.headers), data=decode(kept.body), metadata=metadata)

    def shelf(self, place: Place, plugin: str) -> Shelf:
        """Where the answer to a question that is about to be asked may be kept later, see `keep`."""
        return self._shelves.setdefault(place, Shelf(plugin))

    def keep(self, place: Place, shelf: Shelf, question: Question, result: CallResult, seconds: float) -> None:
        """Keep an answer for so many seconds: with status 200, on a shelf not cleared since the question was asked."""
        if result.status != GOOD_STATUS or self._shelves.get(place) is not shelf:
            return
        self._remove(place, question)
        body, now = encode(result.data), self._clock()
        if len(body) > min(LARGEST_BYTES, self._most_bytes):
            return
        self._answers[place, question] = Kept(
            body, tuple(result.headers.items()), result.metadata, kept_at=now, ends_at=now + seconds
        )
        shelf.questions.add(question)
        self._bytes += len(body)
        while len(self._answers) > self._most_answers or self._bytes > self._most_bytes:
            self._remove(*next(iter(self._answers)))

    def forget(self, place: Place) -> None:
        """What is kept of a service in a tenant may be wrong by now; what is being asked will not be kept."""
        shelf = self._shelves.pop(place, None)
        if shelf is not None:
            for question in list(shelf.questions):
                self._drop(place, question)

    def forget_plugin(self, tenant: str, plugin: str) -> None:
        """The same for all services of a plugin in a tenant."""
        self._forget_where(lambda place, shelf: place[0] == tenant and shelf.plugin == plugin)

    def forget_tenant(self, tenant: str) -> None:
        """The same for everything in a tenant."""
        self._forget_where(lambda place, _: place[0] == tenant)

    def clear(self) -> None:
        """The same for everything."""
        self._forget_where(lambda *_: True)

    def _forget_where(self, concerns: Callable[[Place, Shelf], bool]) -> None:
        for place in [place for place, shelf in self._shelves.items() if concerns(place, shelf)]:
            self.forget(place)

    def _remove(self, place: Place, question: Question) -> None:
        if (place, question) in self._answers:
            self._shelves[place].questions.discard(question)
            self._drop(place, question)

    def _drop(self, place: Place, question: Question) -> None:
        self._bytes -= len(self._answers.pop((place, question)).body)
