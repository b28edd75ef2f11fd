"""`metaloop completion`: what a shell needs to complete verbs, options and files.

The scripts hold the words themselves: a shell that asks the program would wait for it each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from metaloop.cli import options
from metaloop.cli.output import print_json

# what each does in short, its options, and the verbs that it has itself
Verbs = Mapping[str, tuple[str, list[str], list[str]]]


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
    seed: options.UnusedSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Print a script that teaches SHELL to complete verbs and options of metaloop.

    For bash: metaloop completion bash > ~/.local/share/bash-completion/completions/metaloop
    """
    from typer.main import get_command

    from metaloop.cli import app
    from metaloop.core.errors import unknown_name

    if shell not in _SCRIPTS:
        raise unknown_name("shell", shell, _SCRIPTS)
    group: Any = get_command(app)
    verbs = {}
    for name, verb in group.commands.items():
        own = getattr(verb, "commands", {})
        taken = [option for each in (verb, *own.values()) for option in each.params]
        known = [each for option in taken for each in (*option.opts, *option.secondary_opts)]
        known = list(dict.fromkeys(each for each in known if each.startswith("-")))
        short = (verb.help or "").strip().splitlines()[0]
        verbs[name] = (short, [*known, "--help"], list(own))
    script = _SCRIPTS[shell](verbs)
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        print(script, end="")


def _bash(verbs: Verbs) -> str:
    cases = "\n".join(
        f"        {verb}) words='{' '.join(o)}' ;;" for verb, (_, o, _) in verbs.items()
    )
    own = "\n".join(
        f"        {verb}) words='{' '.join(parts)}' ;;"
        for verb, (*_, parts) in verbs.items()
        if parts
    )
    return f"""# bash completion of metaloop
_metaloop() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words='{" ".join(verbs)} --help --version'
    elif [[ $current == -* ]]; then
        case ${{COMP_WORDS[1]}} in
{cases}
        esac
    elif [ "$COMP_CWORD" -eq 2 ]; then
        case ${{COMP_WORDS[1]}} in
{own}
        esac
    fi
    [ -z "$words" ] || COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _metaloop metaloop
"""


def _zsh(verbs: Verbs) -> str:
    cases = "\n".join(
        f"      {verb}) compadd -- {' '.join(o)} ;;" for verb, (_, o, _) in verbs.items()
    )
    own = "\n".join(
        f"  elif (( CURRENT == 3 )) && [[ $words[2] == {verb} ]]; then\n"
        f"    compadd -- {' '.join(parts)}"
        for verb, (*_, parts) in verbs.items()
        if parts
    )
    return f"""#compdef metaloop
# zsh completion of metaloop: save it as _metaloop in a folder of $fpath
_metaloop() {{
  if (( CURRENT == 2 )); then
    compadd -- {" ".join(verbs)} --help --version
  elif [[ $words[CURRENT] == -* ]]; then
    case $words[2] in
{cases}
    esac
{own}
  else
    _files
  fi
}}
compdef _metaloop metaloop
"""


def _fish(verbs: Verbs) -> str:
    lines = ["# fish completion of metaloop"]
    for verb, (short, known, parts) in verbs.items():
        said = short.replace("\\", "").replace("'", "\\'")
        lines.append(f"complete -c metaloop -n __fish_use_subcommand -f -a {verb} -d '{said}'")
        if parts:
            seen = f"'__fish_seen_subcommand_from {verb}'"
            lines.append(f"complete -c metaloop -n {seen} -a '{' '.join(parts)}'")
        for option in known:
            flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            seen = f"'__fish_seen_subcommand_from {verb}'"
            lines.append(f"complete -c metaloop -n {seen} {flag}")
    return "\n".join(lines) + "\n"


_SCRIPTS: Mapping[str, Callable[[Verbs], str]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
