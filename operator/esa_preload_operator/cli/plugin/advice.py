"""What to do, by the reason of a condition: one sentence each. docs/status.md says more."""

from typing import Final

from esa_preload_operator.domain.errors import Reason

ADVICE: Final[dict[str, str]] = {
    Reason.ACCESS_DENIED: "Grant the RAM user or role what deploy/ram/policy.json lists.",
    Reason.CREDENTIALS_INVALID: "Correct the access key in the Secret, or the role; a changed Secret is tried at once.",
    Reason.CREDENTIALS_MISSING: "Create the Secret with accessKeyId and accessKeySecret in the job's namespace.",
    Reason.CREDENTIALS_NOT_ALLOWED: "Use a Secret whose name the operator allows, or extend its settings as the "
    "message says.",
    Reason.QUOTA_EXCEEDED: "Delete jobs of the site that are not needed, or have the quota raised.",
    Reason.ACCOUNT_UNUSABLE: "Settle the bill of the Alibaba Cloud account, or enable it.",
    Reason.JOB_NOT_FOUND: "The job was deleted, or belongs to another account: make a new resource, or correct the "
    "credentials.",
    Reason.JOB_CLAIMED: "Another resource acts on the same ESA job: delete one of the two.",
    Reason.INVALID_JOB_ID: "spec.jobId is no id of a job: make a new resource with the id that the console shows.",
    Reason.INVALID_SPEC: "Change the spec as the message says.",
    Reason.CRD_OUTDATED: "Install the CRD of the operator's version: esa-preload-operator crd | kubectl apply "
    "--server-side -f -",
    Reason.ESA_ERROR: "ESA answered an error that is not known: the request stays open. Ask ESA's support with the "
    "request id.",
    Reason.OUTCOME_UNKNOWN: "Answers of ESA were lost: look at the job in its console; the operator goes on slowly.",
    Reason.REFRESH_FAILING: "The numbers may be old, because the site can't be listed: see the message.",
    Reason.STATUS_UNREADABLE: "Somebody wrote a wrong type into the status: restore that field, or remove it.",
    Reason.INTERNAL_ERROR: "A fault of the operator: please report it with `kubectl esa-preload diagnose --output "
    "support.tar.gz`.",
    Reason.REQUEST_IGNORED: "Use `kubectl esa-preload reset`, or the annotation resetRequested with a token.",
    Reason.INVALID_URL: "Correct the URLs that ESA has refused.",
    Reason.INVALID_DOMAIN: "Use only URLs whose domain names belong to the ESA site.",
    Reason.QUOTA_EXCESS: "The account's quota of URLs is used up: shorten the list, or have it raised.",
    Reason.OTHER_ERRORS: "ESA did not take all URLs: see the message.",
    Reason.STALE_TOKEN: "The token is a time before the resource was created: ask anew with `reset`.",
    Reason.SOURCE_NOT_FOUND: "Create the ConfigMap and its key, or correct spec.source.",
    Reason.WINDOW_REFUSED: "ESA did not open a window: see its message and correct spec.executions.",
    Reason.NO_ACTIVE_EXECUTION: "No window is open or waiting, so nothing is prefetched: add one to spec.executions.",
    Reason.THROTTLED: "Nothing: the operator goes on as fast as ESA allows.",
    Reason.SERVICE_UNAVAILABLE: "Nothing, if it passes: ESA or the way to it is down. Else see `diagnose`.",
    Reason.PENDING: "If this stays for a minute, no operator is at work: see `diagnose`.",
    Reason.SUSPENDED: "Let it go on with `kubectl esa-preload resume`.",
    "ResetFailed": "Correct the cause, then ask anew: `kubectl esa-preload reset`.",
    "Unseen": "If this stays for a minute, no operator is at work: see `diagnose`.",
}


def advice(reason: str) -> str:
    """Return what to do about a reason; nothing for one that needs nobody or is not known."""
    return ADVICE.get(reason, "")
