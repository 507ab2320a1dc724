"""Members that nobody may read go, whatever became of the work that wrote them."""

from __future__ import annotations

from datetime import timedelta

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.resources import Resources
from segment_copilot.stores.merging import DISTINCT
from tests.support.resources import NOW, Remember

DEFINITION = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}


async def test_what_a_first_computation_wrote_before_it_was_given_back_goes(
    resources: Resources, tenant: Tenant, remember: Remember
):
    """A store was away after the INSERT, or the worker was stopped: no attempt is counted, yet its rows are there."""
    segment = (await resources.segments.create(tenant, name="Buyers", definition=DEFINITION)).segment
    await remember(tenant, [("ana", "order_placed", timedelta(days=1), {})])
    await resources.computations.request(tenant, segment.id, as_of=NOW)
    (stopped,) = await resources.computations._claim()
    await resources.computations._leases.begin([stopped.lease])
    compiled = await resources.computations._compile(stopped)
    query = compiler.render_membership_insert(
        compiled.plan, segment_id=segment.id, run_id=stopped.run_id, keys=compiled.ranges[0]
    )
    await resources.clickhouse.execute(query.sql, query.params, purpose="compute")
    await resources.computations._leases.release([stopped.lease], pause=timedelta(0))

    assert await resources.computations.run_next()
    await resources.removals.remove_due()

    sql = "SELECT DISTINCT run_id FROM segment_states"
    found = await resources.clickhouse.fetch(sql, purpose="catalog", merge=DISTINCT)
    published = await resources.postgres.fetchval("SELECT published_run FROM segments")
    assert found.rows == [(published,)]
