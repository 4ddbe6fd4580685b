"""``fedjoule completion``: the shell's completion script."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      fedjoule completion bash >> ~/.bashrc
      fedjoule completion zsh  >> ~/.zshrc
      fedjoule completion fish > ~/.config/fish/completions/fedjoule.fish
    """
    script = get_completion_class(shell)
    if script is None:
        message = f"no completion for {shell}"
        raise click.UsageError(message)
    click.echo(script(ctx.find_root().command, {}, "fedjoule", "_FEDJOULE_COMPLETE").source())
