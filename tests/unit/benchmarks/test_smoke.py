"""The bus can be measured: its peer module answers on the memory transport."""

from benchmarks.load import Phase, perform
from benchmarks.payload import CONTACT
from benchmarks.peers import ours
from broker.testing import running


async def test_ours_answers_calls() -> None:
    async with running(ours.callee, ours.caller, tenants=["acme-corp"]):
        done = await perform(Phase(4, 0.02), ours.echo_by(ours.caller, ["acme-corp"]), CONTACT)

    assert done.calls >= 4
