"""A resolution's causes in words, one line a step: what the command line prints and a log may keep. Pure."""

from contracts.dependencies import Cause, Demand


def explained(cause: Cause) -> list[str]:
    r"""What is wrong, the steps that lead there, what else is asked of the culprit, and what exists of it.

    >>> step = Demand(plugin_id="plugin-a", version="1.0.0", target="plugin-crm", range="^2.0.0")
    >>> found = Cause(
    ...     message="Version mismatch: plugin-crm@1.5.0 does not satisfy ^2.0.0",
    ...     chain=("plugin-a", "plugin-crm"),
    ...     steps=(step,),
    ...     constraints=(step,),
    ...     exists=("plugin-crm@1.5.0 (installed)",),
    ... )
    >>> print("\n".join(explained(found)))
    Version mismatch: plugin-crm@1.5.0 does not satisfy ^2.0.0
      plugin-a@1.0.0 requires plugin-crm ^2.0.0
      there is plugin-crm@1.5.0 (installed)
    """
    lines = [cause.message]
    lines += [f"  {spoken(step)}" for step in cause.steps]
    lines += [f"  also {spoken(demand)}" for demand in cause.constraints if demand not in cause.steps]
    if cause.exists:
        lines.append(f"  there is {', '.join(cause.exists)}")
    elif cause.steps and not is_circle(cause):
        lines.append(f"  nothing is known of {cause.steps[-1].target}")
    return lines


def spoken(demand: Demand) -> str:
    """One demand as a sentence, e.g. ``plugin-a@1.0.0 requires crm.contacts ^1.0.0 of plugin-crm``."""
    verb = "requires" if demand.required else "can use"
    asker = f"{demand.plugin_id}@{demand.version}"
    if demand.service_name is None:
        return f"{asker} {verb} {demand.target} {demand.range or '*'}"
    return f"{asker} {verb} {demand.service_name} {demand.range or '*'} of {demand.target}"


def is_circle(cause: Cause) -> bool:
    """Whether plugins that require each other are the cause: then no order of installing them is right."""
    return cause.chain[-1] in cause.chain[:-1]
