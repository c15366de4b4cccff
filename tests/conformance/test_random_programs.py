"""Random programs run on the memory transport and on RabbitMQ, step by step, and both must show the same.

``PLEXICA_TEST_PROGRAMS=500`` runs so many other ones, at random.
"""

import asyncio
import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.conformance.comparison import Comparison
from tests.conformance.programs import Program, programs

USUAL_PROGRAMS = 40
ASKED_PROGRAMS = int(os.environ.get("PLEXICA_TEST_PROGRAMS", "0"))

PROFILE = settings(
    max_examples=ASKED_PROGRAMS or USUAL_PROGRAMS,
    derandomize=not ASKED_PROGRAMS,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(120 + 5 * ASKED_PROGRAMS)
@pytest.mark.rabbitmq
def test_memory_and_rabbitmq_show_the_same_after_every_step(vhost_url: str) -> None:
    comparison = Comparison(vhost_url)
    with asyncio.Runner() as runner:
        runner.run(comparison.open())

        @PROFILE
        @given(programs())
        def both_show_the_same(program: Program) -> None:
            difference = runner.run(comparison.difference(program))
            assert difference is None, f"{program!r}\ndiffers {difference}"

        try:
            both_show_the_same()
        finally:
            runner.run(comparison.close())

    assert comparison.compared > comparison.given_up, "most runs were too slow to tell anything"
