"""Which rows a claim is about, and what is to be said where it does not hold any more."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, and_

from everwhen.errors import Fenced
from everwhen.ports.generations import Generation
from everwhen.ports.log import TopicDescription
from everwhen.ports.store import Claim


def of_generation(table: Table, generation: Generation) -> ColumnElement[bool]:
    """Write the condition for the rows of a generation in a shared table."""
    return and_(table.c.projection == generation.projection, table.c.number == generation.number)


def here(checkpoints: Table, claim: Claim) -> ColumnElement[bool]:
    """Write the condition for the row of a claimed partition, whoever owns it now."""
    return and_(of_generation(checkpoints, claim.generation), checkpoints.c.partition == claim.partition)


def ours(checkpoints: Table, claim: Claim) -> ColumnElement[bool]:
    """Write the condition for the row of a claimed partition while the claim holds."""
    return and_(here(checkpoints, claim), checkpoints.c.owner == claim.owner, checkpoints.c.epoch == claim.epoch)


def place(claim: Claim) -> str:
    """Say which partition it is."""
    return f"{claim.generation.topic}[{claim.partition}]"


def not_ours(claim: Claim) -> Fenced:
    """Return the error of a claim that does not hold any more."""
    return Fenced(
        f"{place(claim)} of projection {claim.generation.projection} is not under claim {claim.epoch} any more: "
        "another worker has taken the partition over, or the database was set back; claim it again to go on"
    )


def unread_row(generation: Generation, partition: int, topic: TopicDescription) -> dict[str, Any]:
    """Return what the row of a partition holds of which nothing was read."""
    return {
        "projection": generation.projection,
        "number": generation.number,
        "partition": partition,
        "topic": topic.name,
        "cluster_id": topic.cluster_id,
        "topic_id": topic.topic_id,
        "next_offset": 0,
    }
