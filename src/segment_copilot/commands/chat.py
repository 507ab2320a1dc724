"""Holds a conversation with the copilot: questions, its own questions to the person, and commands like /save."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from segment_copilot.commands.answers import read_answer
from segment_copilot.commands.ask import Conversation, stream_answer
from segment_copilot.commands.options import Service
from segment_copilot.commands.printing import printable
from segment_copilot.commands.prompt import PROMPT
from segment_copilot.commands.screen import Screen
from segment_copilot.commands.shell import command_line
from segment_copilot.errors import SegmentCopilotError

STOPPED: Final = 130
"""The exit code of a person's Ctrl-C."""

COMMANDS: Final = {
    "/save": "save the draft just shown as a new segment; /save NAME calls it so",
    "/update": "give the saved segment that the draft was made from the new definition",
    "/help": "this list",
    "/quit": "leave; so does Ctrl-D",
}
_GREETING: Final = (
    "Ask about users, events and segments, or describe an audience. /help lists the commands, /quit leaves."
)

ReadLine = Callable[[], str]
"""Reads what the person types next; EOFError when that was all."""


def converse(
    question: str | None,
    *,
    service: Service,
    console: Console,
    read: ReadLine,
    person: bool,
    chat: bool,
    raw: bool = False,
    arguments: Sequence[str] = (),
) -> int:
    """Ask *question*, and in a *chat* go on with what is read next.

    A *person* is there to answer what the copilot asks, and to be told of a failure without losing the chat. 0 when
    every run ended well, 1 when one did not, 130 after Ctrl-C. Each run has a loop of its own: while a person types,
    nothing else waits for them. Where *raw*, events are printed as JSON. *arguments* name the service to other commands.
    """
    talk = Talk(service, console=console, read=read, person=person, chat=chat, raw=raw, arguments=arguments)
    try:
        if question is None:
            asyncio.run(_check(service))
            if person:
                console.print(f"[dim]{_GREETING}[/]")
        else:
            console.print(f"{PROMPT}{escape(question)}")
            talk.ask(question)
        while chat:
            talk.take_next()
    except EOFError:
        if person:
            console.print()
    except _Quit:
        pass
    except KeyboardInterrupt:
        console.print("\n[dim]Stopped.[/]")
        return STOPPED
    return 0 if talk.went_well else 1


class _Quit(Exception):  # it ends no more than a loop
    """The person wants to leave."""


class Talk:
    """Takes what a person types, one line after the other."""

    def __init__(
        self,
        service: Service,
        *,
        console: Console,
        read: ReadLine,
        person: bool,
        chat: bool,
        raw: bool,
        arguments: Sequence[str],
    ) -> None:
        self.went_well = True
        self._service = service
        self._console = console
        self._read = read
        self._person = person
        self._chat = chat
        self._raw = raw
        self._arguments = arguments
        self._conversation = Conversation()
        self._actions: Mapping[str, Any] | None = None
        """The draft just shown, with the requests that keep it."""
        self._saved_as: str | None = None

    def take_next(self) -> None:
        """Read a line and do what it says. In front of a person, neither Ctrl-C nor a failure ends the chat."""
        try:
            line = self._read_line()
            if line:
                self.ask(line)
        except KeyboardInterrupt:
            if not self._person:
                raise
            self._console.print("\n[dim]Stopped. /quit leaves.[/]")
        except SegmentCopilotError as error:
            if not self._person:
                raise
            self.went_well = False
            self._console.print(f"[red]{escape(error.detail)}[/]")

    def ask(self, question: str) -> None:
        """Ask, then answer what the copilot asks until it asks no more or the person leaves its question."""
        screen = self._run(question, None)
        while self._person and screen.question is not None and screen.ended_well:
            answer = self._answer(screen.question)
            if answer is None:
                self._conversation.left_question = screen.question["id"]
                return
            screen = self._run(answer, screen.question["id"])

    def _run(self, question: str, answers: str | None) -> Screen:
        screen = Screen(self._console, in_chat=self._chat, arguments=self._arguments)
        answer = stream_answer(
            question,
            service=self._service,
            screen=screen,
            conversation=self._conversation,
            answers=answers,
            raw=self._raw,
        )
        asyncio.run(answer)
        self.went_well = self.went_well and screen.ended_well
        if screen.offer is not None:
            self._actions, self._saved_as = screen.offer, None
        return screen

    def _answer(self, question: Mapping[str, Any]) -> str | None:
        """Return the person's answer: an option by its number, or own words where those are allowed; None: left."""
        values = [option["value"] for option in question["options"]]
        is_closed = "enum" in question["response_schema"]["properties"]["answer"]
        ways = [f"a number from 1 to {len(values)}"] * bool(values) + ["your own words"] * (not is_closed)
        while True:
            self._console.print(f"[dim]Type {', or '.join(ways)}; Enter leaves the question.[/]")
            typed = self._read_line()
            if not typed:
                return None
            if typed.isdecimal() and 0 < int(typed) <= len(values):
                return values[int(typed) - 1]
            if not is_closed or typed in values:
                return typed

    def _read_line(self) -> str:
        """Return the next line that is no command of the chat; those before it are carried out."""
        while True:
            line = self._read().strip()
            name, _, rest = line.partition(" ")
            if not self._chat or name not in {*COMMANDS, "/exit"}:
                return line
            self._carry_out(name, rest.strip())

    def _carry_out(self, command: str, rest: str) -> None:
        match command:
            case "/save":
                self._keep("save", rest)
            case "/update":
                self._keep("update", rest)
            case "/help":
                table = Table.grid(padding=(0, 2))
                for name, does in COMMANDS.items():
                    table.add_row(f"  [bold]{name}[/]", does)
                self._console.print(table)
            case _:
                raise _Quit

    def _keep(self, action: str, name: str) -> None:
        """Send the request that keeps the draft; what is wrong with that is said, and the chat goes on."""
        if self._actions is None:
            self._console.print("[dim]There is no draft yet. Describe an audience first.[/]")
        elif action not in self._actions:
            self._console.print("[dim]This draft was made from no saved segment. /save keeps it as a new one.[/]")
        elif self._saved_as is not None and not name:
            self._console.print(f"[dim]It is saved already, as {escape(self._saved_as)}.[/]")
        else:
            request = self._actions[action]
            body = request["body"] | ({"name": name} if name else {})
            try:
                saved = asyncio.run(_send(self._service, request["method"], request["path"], body))
            except SegmentCopilotError as error:
                self._console.print(f"[red]{escape(error.detail)}[/]")
                return
            self._saved_as = told = f"segment {saved['id']}: {printable(saved['name'])}"
            done = "Saved" if action == "save" else "Changed"
            self._console.print(f"[green]✓[/] {done} {escape(told)}. To compute its members, type in a shell:")
            self._console.print(
                command_line("compute", str(saved["id"]), *self._arguments), markup=False, soft_wrap=True
            )


async def _check(service: Service) -> None:
    """Raise SegmentCopilotError when the service is away or refuses the key: before a person has typed anything."""
    await _send(service, "GET", "/api/copilot/capabilities/", None)


async def _send(service: Service, method: str, path: str, body: Any) -> dict[str, Any]:
    headers = {"Authorization": f"ApiKey {service.key}"}
    async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=30) as client:
        return await read_answer(client.request(method, path, json=body))
