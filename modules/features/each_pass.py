"""Features that do the same in every pass of a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from modules.features.arguments import ScriptArguments
from modules.features.running import FeatureJob
from modules.generation.pipeline import JobFeature, PassContext, PassHook

PassArguments = TypeVar("PassArguments", bound=ScriptArguments)


class EachPass(JobFeature):
    """Gives the hooks that `hooks` makes for a pass."""

    def __init__(self, hooks: Callable[[PassContext], Sequence[PassHook]]) -> None:
        self._hooks = hooks

    def before_pass(self, context: PassContext) -> Sequence[PassHook]:
        return self._hooks(context)


def each_pass(
    kind: type[PassArguments], hooks: Callable[[PassArguments, PassContext], Sequence[PassHook]]
) -> Callable[[FeatureJob], JobFeature]:
    """The feature that gives `hooks` of its arguments in each pass; none where they change nothing."""

    def run(job: FeatureJob) -> JobFeature:
        arguments = kind.of(job.resolved.request.scripts)
        return EachPass(lambda context: hooks(arguments, context))

    return run
