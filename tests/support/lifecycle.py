"""What a fake account does not do: everything but looks, lists and resets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esa_preload_operator.domain.esa import (
        CreatedExecutions,
        EsaJob,
        Execution,
        ExecutionChange,
        NewExecution,
        NewJob,
    )
    from esa_preload_operator.domain.ports import MaySend


class NoLifecycle:
    """Refuses to be called."""

    async def list_executions(self, job_id: str) -> Sequence[Execution]:
        raise NotImplementedError(job_id)

    async def create_job(self, new: NewJob, may_send: MaySend) -> EsaJob:
        raise NotImplementedError(new, may_send)

    async def delete_job(self, job_id: str, may_send: MaySend) -> None:
        raise NotImplementedError(job_id, may_send)

    async def create_executions(
        self, job_id: str, wanted: Sequence[NewExecution], may_send: MaySend
    ) -> CreatedExecutions:
        raise NotImplementedError(job_id, wanted, may_send)

    async def update_execution(self, execution_id: str, change: ExecutionChange, may_send: MaySend) -> Execution | None:
        raise NotImplementedError(execution_id, change, may_send)

    async def start_execution(self, execution_id: str, may_send: MaySend) -> Execution | None:
        raise NotImplementedError(execution_id, may_send)

    async def stop_execution(self, execution_id: str, may_send: MaySend) -> Execution | None:
        raise NotImplementedError(execution_id, may_send)

    async def delete_execution(self, execution_id: str, may_send: MaySend) -> None:
        raise NotImplementedError(execution_id, may_send)
