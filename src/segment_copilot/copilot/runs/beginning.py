"""Reads what a run begins with, and seals what is left of it for the next one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, structs

from segment_copilot.access.scopes import sees_users
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.segments import Segments
from segment_copilot.copilot import tools
from segment_copilot.copilot.conversation.checkpoint import LIFETIME, Checkpoint, Signer
from segment_copilot.copilot.conversation.prompt import PROMPT, PROMPT_VERSION
from segment_copilot.copilot.conversation.request import CopilotRequest
from segment_copilot.copilot.conversation.thread import Thread, thread_of
from segment_copilot.copilot.conversation.view import describe_view
from segment_copilot.copilot.conversation.workspace import workspace
from segment_copilot.copilot.models import ModelRequest
from segment_copilot.copilot.stream.components import Draft
from segment_copilot.copilot.stream.run_events import Clarification, Unmapped, Warned
from segment_copilot.language.catalog import Catalog

_QUOTED: Final = 300  # characters of a message
_DECLINED: Final = "The language model declined this request."


class Beginning(Struct, frozen=True):
    """Holds the request, its thread, and what was read for it at its one instant."""

    request: CopilotRequest
    thread: Thread
    tools: tuple[tools.Tool, ...]
    catalog: Catalog
    view: Mapping[str, Any]
    as_of: datetime
    timezone: str
    setting: str
    user: str | None
    sees_users: bool
    withheld: Mapping[str, str]  # tools → the scope that the caller lacks for each
    warnings: tuple[Warned, ...]

    def draws(self, component: str) -> bool:
        """Return whether the frontend can draw *component*."""
        return any(tool.component == component for tool in self.tools)

    def refused_whole(self) -> Unmapped:
        """Return what is refused when the language model declines without a word: all that the person said last."""
        said = [one.content for one in self.request.messages] + [one.message for one in self.request.resume]
        return Unmapped(said[-1].strip()[:_QUOTED].rstrip(), _DECLINED)

    def add_workspace(self) -> None:
        """Tell the model what exists, what the person looks at and when it is, unless it goes on where it was."""
        if self.thread.continues:
            return
        found = workspace(
            self.catalog,
            as_of=self.as_of,
            timezone=self.timezone,
            view=self.view,
            withheld=tuple(sorted(set(self.withheld.values()))),
            known=self.thread.catalog,
        )
        self.thread.catalog = found.catalog
        self.thread.show(found.text)

    def model_request(self, tenant_id: int) -> ModelRequest:
        """Return what every turn asks the model, without the messages."""
        return ModelRequest(
            system=PROMPT,
            messages=(),
            tools=tuple(tool.specification for tool in self.tools),
            catalog=self.catalog,
            as_of=self.as_of,
            timezone=self.timezone,
            view=self.view,
            effort=self.request.options.effort,
            user=f"tenant {tenant_id} {self.user or ''}".rstrip(),
        )

    def checkpoint(
        self,
        tenant_id: int,
        thread_id: str,
        *,
        drafts: Sequence[Draft],
        question: Clarification | None,
        unfinished: bool,
    ) -> Checkpoint:
        """Return the thread as it is now."""
        thread, waits = self.thread, None
        messages = tuple(thread.messages)
        if question is not None:
            messages, waits = thread.suspend(question)
        return Checkpoint(
            tenant_id=tenant_id,
            thread_id=thread_id,
            setting=self.setting,
            expires_at=datetime.now(UTC) + LIFETIME,
            as_of=self.as_of,
            timezone=self.timezone,
            messages=messages,
            utterances=tuple(thread.utterances),
            catalog=thread.catalog,
            drafts=(*thread.drafts, *(structs.replace(draft, reading=UNSET) for draft in drafts)),
            question=waits,
            user=self.user,
            unfinished=unfinished,
        )


async def begin(
    segments: Segments,
    tenant: Tenant,
    request: CopilotRequest,
    *,
    model: str,
    catalog: Catalog,
    signer: Signer,
    user: str | None,
    scopes: frozenset[str],
    warnings: Sequence[Warned],
) -> Beginning:
    """Read what *request* needs, and of that what a credential with *scopes* may read.

    Raises:
        InvalidInput: The last word is not the person's, or no answer that the question takes.
        Conflict: It answers a question that is not open.
    """
    now = datetime.now(UTC)
    components = request.options.components
    offered = tools.usable_tools(tools.COMPONENTS if components is None else frozenset(components), scopes)
    withheld, seeing = tools.withheld_tools(scopes), sees_users(scopes)
    setting = setting_of(model, [tool.name for tool in offered], sees_users=seeing)
    thread, found = thread_of(request, signer, tenant_id=tenant.id, user=user, setting=setting, now=now)
    return Beginning(
        request,
        thread,
        tools=offered,
        catalog=readable(catalog, scopes),
        view=await describe_view(
            segments if "segments:read" in scopes else None,
            tenant,
            request.context,
            latest=thread.drafts[-1] if thread.drafts else None,
        ),
        as_of=(request.context.as_of or thread.as_of or now).astimezone(UTC),
        timezone=request.context.timezone or thread.timezone or tenant.timezone,
        setting=setting,
        user=user,
        sees_users=seeing,
        withheld=withheld,
        warnings=(*warnings, *found, *_lacking(withheld)),
    )


def readable(catalog: Catalog, scopes: frozenset[str]) -> Catalog:
    """Return what of the catalog the caller may read."""
    if "catalog:read" not in scopes:
        catalog = msgspec.structs.replace(catalog, event_types={}, traits={})
    return catalog if "segments:read" in scopes else msgspec.structs.replace(catalog, segments={})


def _lacking(withheld: Mapping[str, str]) -> Sequence[Warned]:
    if not withheld:
        return ()
    lacking = ", ".join(sorted(set(withheld.values())))
    return (Warned("missing_scope", f"The credential lacks {lacking}: what needs that is neither read nor answered."),)


def setting_of(model: str, offered: Iterable[str], *, sees_users: bool = True) -> str:
    """Return what a checkpoint is bound to: a digest of the model, the prompt, the tools it was *offered*, and what they tell.

    So what one who sees users was told never comes, in a checkpoint, before one who does not.
    """
    parts = [model, PROMPT_VERSION, tools.TOOLS_VERSION, *offered, *([] if sees_users else ["no users"])]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]
