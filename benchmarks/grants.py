"""What a grant costs: to sign, to verify for the first time, and every time after that.

Run ``python -m benchmarks.grants``.
"""

import time
from collections.abc import Callable

from broker.grants.rules import SigningKey, public_key
from contracts.grants import Grant
from plugin_runtime.keys import KeyRing

ROUNDS = 2000
PERMISSIONS = ("plugin.crm.contacts.read", "plugin.crm.deals.read")


def microseconds(run: Callable[[int], object], rounds: int = ROUNDS) -> float:
    began = time.perf_counter()
    for number in range(rounds):
        run(number)
    return (time.perf_counter() - began) / rounds * 1e6


def main() -> None:
    key = SigningKey.generate(0.0)
    ring = KeyRing([public_key(key.id, key.public_bytes)])
    grants = [
        Grant(sub="plugin-analytics", ten="acme-corp", perms=PERMISSIONS, iat=number, exp=number + 300)
        for number in range(ROUNDS)
    ]
    tokens = [key.sign(grant) for grant in grants]
    print(f"token       {len(tokens[-1])} bytes, {len(PERMISSIONS)} permissions")
    print(f"sign        {microseconds(lambda number: key.sign(grants[number])):8.2f} us")
    print(f"verify cold {microseconds(lambda number: ring.verify(tokens[number])):8.2f} us")
    print(f"verify warm {microseconds(lambda _: ring.verify(tokens[-1]), 200_000):8.2f} us")


if __name__ == "__main__":
    main()
