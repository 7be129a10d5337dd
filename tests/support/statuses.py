"""Every status that the operator may write, as a Hypothesis strategy."""

from datetime import UTC, datetime
from typing import Final

from hypothesis import strategies as st

from esa_preload_operator.domain.cleaning import INT64_MAX, MAX_TEXT, clean_text, format_micro_time, format_time
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.resources.job import (
    RESET_KEYS,
    Condition,
    CreatingStatus,
    ExecutionStatus,
    ResetStatus,
    SigningStatus,
    Status,
)

CONDITION_TYPES: Final = ("Ready", "Reconciling", "Stalled", "UrlsAccepted", "Effective")
INT32_MAX: Final = 2**31 - 1

_NASTY: Final = (
    "",
    " ",
    "null",
    "\x00\x01\x1f\x7f",
    "\r\n\t",
    "\u2028\u2029\ufeff\ufffd\uffff",
    "e\u0301\u202e👩‍🚀",
    "<script>&amp;\"'\\",
    "a: b\n- c # d",
    "€" * (MAX_TEXT // 3),
    "x" * MAX_TEXT,
    "🚀" * (MAX_TEXT // 4),
)

texts = st.one_of(
    st.sampled_from(_NASTY),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.text(max_size=40).map(clean_text),
)
"""Text from ESA, cleaned or not: control characters, every plane of Unicode, up to 4 KiB; no lone surrogates."""

counts = st.one_of(st.sampled_from([0, 1, 2**53, INT64_MAX]), st.integers(0, INT64_MAX))
small_counts = st.integers(0, INT32_MAX)
times = st.one_of(
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)).map(lambda at: at.replace(tzinfo=UTC).timestamp()),  # noqa: DTZ001 - Hypothesis wants naive bounds
    st.sampled_from([0.0, 1.5]),
).flatmap(lambda epoch: st.sampled_from([format_time(epoch), format_micro_time(epoch)]))
"""What the operator's own clock may say, in both of its formats."""

tokens = st.one_of(
    st.dictionaries(st.sampled_from(RESET_KEYS), texts, max_size=2),
    st.dictionaries(texts, texts, max_size=2),  # nothing in the schema may depend on the keys that we know today
)

CONDITION_FIELDS: Final[dict[str, st.SearchStrategy[object]]] = {
    "type": st.sampled_from(CONDITION_TYPES),
    "status": st.sampled_from(["True", "False", "Unknown"]),
    "observed_generation": st.none() | counts,
    "last_transition_time": times,
    "reason": st.sampled_from([reason.value for reason in Reason]),
    "message": texts,
}
conditions = st.fixed_dictionaries(CONDITION_FIELDS).map(Condition.model_validate)

SIGNING_FIELDS: Final[dict[str, st.SearchStrategy[object]]] = {"nonce": texts, "date": texts, "signer": texts}
signings = st.fixed_dictionaries(SIGNING_FIELDS).map(SigningStatus.model_validate)

RESET_FIELDS: Final[dict[str, st.SearchStrategy[object]]] = {
    "phase": texts,
    "job_id": texts,
    "tokens": tokens,
    "trigger": texts,
    "owner": st.none() | texts,
    "started_at": st.none() | times,
    "finished_at": st.none() | times,
    "submitted_before": st.none() | counts,
    "request_id": st.none() | texts,
    "attempts": small_counts,
    "generation": st.none() | counts,
    "unproven": st.none() | small_counts,
    "reason": st.none() | texts,
    "message": st.none() | texts,
    "signing": st.none() | signings,
}
resets = st.fixed_dictionaries(RESET_FIELDS).map(ResetStatus.model_validate)

CREATING_FIELDS: Final[dict[str, st.SearchStrategy[object]]] = {
    "name": texts,
    "source": texts,
    "tokens": tokens,
    "since": texts,
}
creatings = st.fixed_dictionaries(CREATING_FIELDS).map(CreatingStatus.model_validate)

EXECUTION_FIELDS: Final[dict[str, st.SearchStrategy[object]]] = {
    "name": texts,
    "id": texts,
    "state": texts,
    "start_time": texts,
    "end_time": texts,
    "interval_seconds": st.none() | counts,
    "slice_len": st.none() | counts,
    "stopped": st.none() | st.booleans(),
    "message": texts,
}
executions = st.fixed_dictionaries(EXECUTION_FIELDS).map(ExecutionStatus.model_validate)

STATUS_FIELDS: Final[dict[str, st.SearchStrategy[object]]] = {
    "observed_generation": st.none() | counts,
    "request_id": st.none() | texts,
    "ali_uid": st.none() | texts,
    "created_at": st.none() | texts,
    "domains": st.none() | texts,
    "error_info": st.none() | texts,
    "failed_file_oss": st.none() | texts,
    "file_id": st.none() | texts,
    "job_id": st.none() | texts,
    "insert_way": st.none() | texts,
    "name": st.none() | texts,
    "site_id": st.none() | counts,
    "task_submitted": st.none() | counts,
    "task_type": st.none() | texts,
    "url_count": st.none() | counts,
    "url_submitted": st.none() | counts,
    "progress": st.none() | small_counts,
    "refreshed_at": st.none() | times,
    "source": st.none() | texts,
    "creating": st.none() | creatings,
    "retired_jobs": st.lists(texts, max_size=3, unique=True),
    "executions": st.lists(executions, max_size=3, unique_by=lambda execution: execution.name),
    "schedule_seen": st.none() | texts,
    "reset": st.none() | resets,
    "handled_resets": tokens,
    "handled_times": tokens,
    "last_reset_time": st.none() | times,
    "next_reset_time": st.none() | times,
    "conditions": st.lists(conditions, max_size=len(CONDITION_TYPES), unique_by=lambda condition: condition.type),
}
statuses = st.fixed_dictionaries(STATUS_FIELDS).map(Status.model_validate)
"""Statuses with any part missing or present. A field that is added to `Status` must be added here; a test checks it."""
