"""Small providers, registrations and a driver for one course, for the tables of this folder."""

from parley.failure import Failure
from parley.plan import Course, Fleet, GiveUp, Try, Wait
from parley.settings import Provider, Registration, Retries, Target, Timeouts


def provider(name="a", endpoints=1, keys=0, **more):
    urls = tuple(f"http://{name}{index}.example/v1" for index in range(endpoints))
    secrets = tuple(f"{name}-key-{index}" for index in range(keys))
    total = more.pop("total", 600.0)
    return Provider(
        name=name,
        type="openai",
        wire="w",
        endpoints=urls,
        paths={},
        keys=secrets,
        timeouts=Timeouts(total=total),
        **more,
    )


def registration(*targets, strategy="fallback", attempts=3, on=None, model="m"):
    """Targets as "provider/model" or ("provider/model", weight)."""
    pairs = [target if isinstance(target, tuple) else (target, 1) for target in targets]
    retries = Retries(attempts) if on is None else Retries(attempts, frozenset(on))
    made = tuple(Target(*name.split("/", 1), weight) for name, weight in pairs)
    return Registration(model=model, targets=made, strategy=strategy, retries=retries)


def failure(kind="upstream_error", **more):
    return Failure(kind, more.pop("message", "it broke"), **more)


class Play:
    """One fleet, its providers and a clock to be moved by hand; jitter is always ``draw``."""

    def __init__(self, *providers, policy=None, draw=0.5):
        self.providers = {each.name: each for each in providers}
        self.fleet = Fleet() if policy is None else Fleet(policy)
        self.now = 100.0
        self.draw = draw

    def course(self, asked, prefix=b"") -> Course:
        return self.fleet.course(asked, self.providers, self.now, lambda: self.draw, prefix=prefix)

    def step(self, course):
        """The next step as words: ("try", "a/m", endpoint, key) | ("wait", seconds) | ("end", kind)."""
        step = course.next(self.now)
        if isinstance(step, Try):
            lane = step.lane
            return ("try", lane.target.name, lane.endpoint, lane.key)
        if isinstance(step, Wait):
            return ("wait", round(step.seconds, 6))
        assert isinstance(step, GiveUp)
        return ("end", step.failure.kind)

    def run(self, course, *failures):
        """Fail each try with the next of ``failures``, waiting out each Wait; every step that was taken."""
        steps, left = [], list(failures)
        while True:
            steps.append(self.step(course))
            if steps[-1][0] == "wait":
                self.now += steps[-1][1]
            elif steps[-1][0] == "try" and left:
                course.failed(left.pop(0), self.now)
            else:
                return steps

    def first(self, asked, prefix=b""):
        """The target a new request goes to first; it succeeds at once."""
        course = self.course(asked, prefix)
        step = course.next(self.now)
        course.succeeded(self.now, first_byte=0.1)
        return step.lane.target.name

    def spoil(self, asked, count, kind="upstream_error"):
        """Fail ``count`` requests of one try each."""
        for _ in range(count):
            course = self.course(asked)
            course.next(self.now)
            course.failed(failure(kind), self.now)
            course.abandoned(self.now)

    def states(self):
        return {name: health.state for name, health in self.fleet.snapshot(self.now).items()}
