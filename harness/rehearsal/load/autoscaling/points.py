"""A watched HPA as a series, one point a second: what it asked for, what was there, what was used. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rehearsal.load.autoscaling.judging import Course


def points(course: Course) -> Iterator[Mapping[str, object]]:
    """Yield a point for each sample; `used` and `targets` are percent of what is requested."""
    autoscaler = course.pace.autoscaler
    targets = {one.resource: one.percent for one in autoscaler.targets}
    for reading in course.envelope.readings():
        sample, proposals = reading.sample, reading.recommendation.proposals
        yield {
            "t": round(sample.t, 1),
            "hpa": autoscaler.workload,
            "least": autoscaler.least,
            "most": autoscaler.most,
            "desired": sample.desired,
            "ready": sample.ready,
            "wanted": reading.wanted,
            "used": {one.target.resource: one.percent for one in proposals},
            "targets": targets,
        }
