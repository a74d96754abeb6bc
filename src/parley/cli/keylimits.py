"""What ``parley keys create`` says of a key's limits and defaults, and how they are shown."""

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from parley.keys import KeyLimits

# As they are shown to programs; null where nothing was said.
SHOWN = ("rpm", "tpm", "parallel", "budget", "budget_period", "priority")
MAX_COUNT = 10**15


class Money(click.ParamType[int]):
    """US dollars."""

    name = "USD"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Picodollars."""
        from parley.config.quotas import picodollars

        if isinstance(value, int):
            return value
        try:
            return picodollars(float(value))
        except ValueError as error:
            said = str(error) if "budget" in str(error) else "write US dollars, such as 20 or 0.5"
            self.fail(f"{value!r}: {said}.", param, ctx)


def limited(span: click.ParamType[float]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options for limits and defaults; the command gets ``limits`` and ``defaults``. ``span`` reads durations."""
    count = click.IntRange(1, MAX_COUNT)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def limiting(**given: Any) -> Any:
            said = {name: given.pop(name) for name in SHOWN}
            if said["budget_period"] is not None and said["budget"] is None:
                raise click.UsageError("--budget-period needs --budget USD.")
            return command(limits=_limits(said), **given)

        for option in (
            click.option("--default", "defaults", multiple=True, metavar="K=V", callback=_defaults, help=_DEFAULT),
            click.option("--priority", type=click.Choice(["low", "normal", "high"]), help=_PRIORITY),
            click.option(
                "--budget-period", type=span, help="When the budget begins anew, such as 30d; default: never."
            ),
            click.option("--budget", type=Money(), help="US dollars it may spend."),
            click.option("--parallel", type=count, metavar="N", help="Requests at one time."),
            click.option("--tpm", type=count, metavar="N", help="Tokens a minute."),
            click.option("--rpm", type=count, metavar="N", help="Requests a minute."),
        ):
            limiting = option(limiting)
        return limiting

    return decorate


_DEFAULT = "A member of requests that do not have it; V is JSON, else text; repeatable."
_PRIORITY = "Who goes first where requests wait; default: as the model has it."


def _limits(said: dict[str, Any]) -> "KeyLimits | None":
    from parley.keys import KeyLimits

    given = {name: value for name, value in said.items() if value is not None}
    return KeyLimits(**given) if given else None


def _defaults(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for text in value:
        name, sign, said = text.partition("=")
        if not (name and sign):
            raise click.BadParameter(f"{text!r}: write it as K=V.", ctx, param)
        made[name] = _meant(said)
        _judge(name, made[name], ctx, param)
    return made


def _judge(name: str, value: Any, ctx: click.Context, param: click.Parameter) -> None:
    from parley.config.members import NOT_SETTABLE, SPELLINGS, is_of_kind

    if name in NOT_SETTABLE or name in SPELLINGS:
        raise click.BadParameter(f"{name} cannot be set for a key.", ctx, param)
    if not is_of_kind(name, value):
        raise click.BadParameter(f"{name} has another type: {value!r} would be refused by every provider.", ctx, param)


def _meant(said: str) -> Any:
    try:
        return json.loads(said)
    except ValueError:
        return said
