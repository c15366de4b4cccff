"""The services called so far (``x-call-chain``), and when that is a loop. Pure; used by caller and callee alike."""

from contracts.errors import InvalidRequestError

LONGEST_CHAIN = 16
"""Services in a chain, the one that is called included."""

MOST_VISITS = 3
"""How often one service may stand in a chain: plugins do call themselves, and their callers back."""

_SEPARATOR = ","


def read_chain(header: object) -> tuple[str, ...]:
    """The services that the header names, outermost first, the one that is called last.

    Raises:
        InvalidRequestError: They are a loop.
    """
    if not isinstance(header, str):
        return ()
    return _judged(tuple(word for word in header.split(_SEPARATOR) if word))


def chain_header(chain: tuple[str, ...], service: str) -> str:
    """The header of a call to a service.

    Args:
        chain: The services called so far.
        service: The one that is called now.

    Raises:
        InvalidRequestError: The call would go round in a loop.
    """
    return _SEPARATOR.join(_judged((*chain, service)))


def _judged(chain: tuple[str, ...]) -> tuple[str, ...]:
    if len(chain) > LONGEST_CHAIN:
        raise _loop(chain, f"it has {len(chain)} calls in one another, at most {LONGEST_CHAIN} are allowed")
    # Most chains are short: nothing can stand there too often.
    for service in chain if len(chain) > MOST_VISITS else ():
        if (visits := chain.count(service)) > MOST_VISITS:
            raise _loop(chain, f"{service} stands in it {visits} times, at most {MOST_VISITS} are allowed")
    return chain


def _loop(chain: tuple[str, ...], reason: str) -> InvalidRequestError:
    shown = chain if len(chain) <= LONGEST_CHAIN + 1 else (*chain[:LONGEST_CHAIN], "...", chain[-1])
    return InvalidRequestError(
        f"the call chain {' -> '.join(shown)} is a loop: {reason}; have one of these handlers answer without calling "
        "the next, or emit an event instead of calling back",
        chain=list(shown),
    )
