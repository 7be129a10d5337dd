"""How the custom resource and what stands on it are named; imports nothing, so that small programs start fast."""

from typing import Final

GROUP: Final = "esa.preload-operator.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ScheduledPreloadJob"
PLURAL: Final = "scheduledpreloadjobs"
SINGULAR: Final = "scheduledpreloadjob"
SHORT_NAME: Final = "spj"
CATEGORY: Final = "esa"

RESET_KEY: Final = "resetRequested"
RESET_KEY_PREFIXED: Final = f"{GROUP}/resetRequested"
FINALIZER: Final = f"{GROUP}/job"
"""Keeps a resource until the ESA job that was created for it is deleted."""
RESET_KEYS: Final = (RESET_KEY, RESET_KEY_PREFIXED)
"""The annotations that ask for a reset; the short one is for people, the prefixed one for tools."""

RELIED_ON: Final = ("conditions", "handledResets", "handledTimes", "lastResetTime", "observedGeneration", "reset")
"""Fields of the status without which a request could be made twice."""
