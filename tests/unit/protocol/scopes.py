"""The scopes that are explored."""

from dataclasses import dataclass

from unit.protocol.world import Left

UNDISTURBED = Left()


@dataclass(frozen=True)
class Scope:
    """What is bounded, and by how much."""

    name: str
    script: tuple[tuple[int, str], ...] = ((0, "A"),)
    """Tokens in the order in which the user sets them: number of the key, value."""
    left: Left = UNDISTURBED
    url: int = 1
    """`UrlSubmitted` at first: from 1 on a look can prove the first reset, from 0 it can't."""
    owners: int = 1
    lease: int = 0
    """Length of the lease; 0: no leader election, all owners act at once."""
    unbounded: bool = False
    """Messages to ESA may outlive their deadline."""
    split: bool = False
    """A process can be paused between the check and the sending."""
    rereads: bool = False
    """The watch shows a process versions that are older than its own last write."""
    nonce: bool = False
    """Intents name nonce and date of their calls, and ESA takes each nonce once."""
    most: int = 0
    """Resets that one request may lead to at most, whatever is excused; 0 sets no bound."""
    lists: bool = False
    """A list of the site, which may lag, may answer the look before a first call."""
    site: bool = False
    """The site's list, rivals, credentials and the life of the job are part of the world."""


A = ((0, "A"),)
A_AGAIN = ((0, "A"), (0, "A"))
A_B = ((0, "A"), (0, "B"))
TWO_KEYS = ((0, "A"), (1, "B"))

SCOPES = (
    Scope("2 crashes, 2 lost answers", A_B, Left(crash=2, lose=2)),
    Scope("lost writes and an edit", A_B, Left(crash=1, lose=1, write_lost=1, edit=1)),
    Scope("many lost writes", A, Left(crash=1, lose=1, write_lost=4)),
    Scope("late writes", A, Left(crash=1, lose=1, late_write=2)),
    Scope("removal, edit and lost write", A_AGAIN, Left(crash=1, lose=1, remove=1, edit=1, write_lost=1)),
    Scope("removal and regrowth", A_B, Left(crash=1, lose=1, remove=1, edit=1, regrow=1)),
    Scope("two keys at once", TWO_KEYS, Left(crash=1, lose=1, remove=1, write_lost=1)),
    Scope("old views again", A_B, Left(crash=1, lose=1, edit=1), rereads=True),
    Scope("source change", A_B, Left(crash=1, lose=1, new_job=1)),
    Scope("foreign reset", A_B, Left(crash=1, lose=1, foreign=1)),
    Scope("transient failures", A_B, Left(crash=1, lose=1, look_fails=1, throttle=1, refuse=1)),
    Scope("terminal failures", A_B, Left(lose=1, author=1, spec=1, look_fails=1, edit=1)),
    Scope("nothing submitted at first", A_B, Left(crash=1, lose=1, regrow=1), url=0),
    Scope("nothing submitted, 3 lost answers", A, Left(lose=3, edit=1), url=0, most=2),
    Scope("3 lost answers and regrowth", A, Left(lose=3, regrow=2)),
    Scope("the counter falls, the status is wiped", A_B, Left(crash=1, lose=1, fall=1, wipe=1)),
    Scope("unbounded network", A_B, Left(crash=1, lose=2), unbounded=True),
    Scope("lease: crash, pause, lost answer", A, Left(crash=1, lose=1, pause=1), owners=2, lease=1),
    Scope("long lease: crash, pause, lost answer", A, Left(crash=1, lose=1, pause=1), owners=2, lease=3),
    Scope("lease: pause between check and send", A, Left(crash=1, lose=1, pause=1), owners=2, lease=1, split=True),
    Scope("lease: 2 tokens, pause, lost answer", A_B, Left(lose=1, pause=1), owners=2, lease=1),
    Scope("lease: pause, lost write, edit", A, Left(lose=1, pause=1, write_lost=1, edit=1), owners=2, lease=1),
    Scope("lease: 2 crashes, pause, 2 lost answers", A, Left(crash=2, lose=2, pause=1), owners=2, lease=1),
    Scope("2 owners at once: crash, lost answer", A, Left(crash=1, lose=1), owners=2),
    Scope("2 owners at once: pause, lost answer", A, Left(lose=1, pause=1), owners=2),
    Scope("2 owners at once: failures", A, Left(lose=1, refuse=1, throttle=1), owners=2),
    Scope("2 owners at once: foreign reset", A, Left(lose=1, foreign=1), owners=2),
)
"""Scopes for every run of the tests."""

LISTS = (
    Scope("lists: 2 crashes, 2 lost answers", A_B, Left(crash=2, lose=2), lists=True),
    Scope("lists: nothing submitted at first", A, Left(crash=1, lose=2), url=0, lists=True),
    Scope("lists: 3 lost answers", A, Left(lose=3, edit=1), lists=True),
    Scope("lists: lost and late writes", A, Left(lose=1, write_lost=1, late_write=1), lists=True),
    Scope("lists: removal and an edit", A_AGAIN, Left(lose=1, remove=1, edit=1), lists=True),
    Scope("lists: source change", A_B, Left(crash=1, lose=1, new_job=1), lists=True),
    Scope("lists: foreign reset and regrowth", A_B, Left(lose=1, foreign=1, regrow=1), lists=True),
    Scope("lists: failures", A_B, Left(lose=1, throttle=1, refuse=1, look_fails=1), lists=True),
    Scope("lists: lease, crash, pause", A, Left(crash=1, lose=1, pause=1), owners=2, lease=1, lists=True),
    Scope("lists: 2 owners at once", A, Left(crash=1, lose=1), owners=2, lists=True),
    Scope("lists: nonce", A_B, Left(crash=1, lose=1), nonce=True, lists=True),
)
"""The same while lists of the site answer looks: what they tell of the progress may be anything."""

NONCE = (
    Scope("nonce: nothing submitted at first", A_B, Left(crash=1, lose=1, regrow=1), url=0, nonce=True),
    Scope("nonce: 2 crashes, 2 lost answers", A_B, Left(crash=2, lose=2), nonce=True),
    Scope("nonce: unbounded network", A_B, Left(crash=1, lose=2), url=0, unbounded=True, nonce=True),
    Scope("nonce: two keys at once", TWO_KEYS, Left(crash=1, lose=1, remove=1), url=0, nonce=True),
    Scope("nonce: removal, edit, lost write", A_AGAIN, Left(lose=1, remove=1, edit=1, write_lost=1), nonce=True),
    Scope("nonce: late writes", A, Left(crash=1, lose=1, late_write=2), url=0, nonce=True),
    Scope(
        "nonce: pause between check and send",
        A,
        Left(crash=1, lose=1, pause=1),
        url=0,
        owners=2,
        lease=1,
        split=True,
        nonce=True,
    ),
    Scope("nonce: 2 owners at once", A, Left(lose=1, pause=1), url=0, owners=2, nonce=True),
    Scope("nonce: refused calls", A, Left(crash=1, lose=1, throttle=1, refuse=1, server=1), url=0, nonce=True),
    Scope("nonce: another access key", A_B, Left(crash=1, lose=1, rekey=1), url=0, nonce=True),
    Scope("nonce: source change", A_B, Left(crash=1, lose=1, new_job=1), url=0, nonce=True),
)
"""The same with RESET_CONFIRMATION=nonce, and an ESA that takes each nonce once."""

SITE = (
    Scope("site: nothing happens", A, site=True),
    Scope("site: list denied and allowed again", A, Left(deny=1, lose=1), site=True),
    Scope("site: a rival comes and goes", A, Left(rival=1, crash=1), site=True),
    Scope("site: the job vanishes and is back", A_B, Left(vanish=1), site=True),
    Scope("site: another Secret and back", A, Left(secret=2, deny=1), site=True),
    Scope("site: deleted in the middle", A, Left(delete=1, lose=1, crash=1), site=True),
    Scope("site: conditions removed by hand", A, Left(forge=1, deny=1, write_lost=1), site=True),
    Scope("site: list denied, a rival, a lost answer", A, Left(deny=1, rival=1, lose=1), site=True),
    Scope("site: lease, pause, list denied", A, Left(deny=1, pause=1), owners=2, lease=1, site=True),
)
"""The same in the middle of a site."""

LARGE = (
    Scope("2 owners at once: removal", A_AGAIN, Left(lose=1, remove=1), owners=2),
    Scope("lease: 2 tokens, crash, pause, lost answer", A_B, Left(crash=1, lose=1, pause=1), owners=2, lease=1),
    Scope("lease: 2 keys, crash, pause, lost answer", TWO_KEYS, Left(crash=1, lose=1, pause=1), owners=2, lease=1),
    Scope("late writes, 2 tokens", A_B, Left(crash=1, lose=1, late_write=2)),
    Scope("2 owners at once: source change", A, Left(crash=1, lose=1, new_job=1), owners=2),
    Scope("2 owners at once: 2 tokens, crash, lost answer", A_B, Left(crash=1, lose=1), owners=2),
    Scope("2 owners at once: late write", A, Left(crash=1, lose=1, late_write=1), owners=2),
    Scope("2 owners at once: unbounded network", A, Left(crash=1, lose=2), owners=2, unbounded=True),
)
"""Scopes for a script that may take minutes."""
