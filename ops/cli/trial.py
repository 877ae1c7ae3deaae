"""What one tries Fairlead with: the demo, and the toy cluster by itself."""

from __future__ import annotations

from pathlib import Path

import click

from ops.cli.running import FILE, stop

DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.command("toy-cluster")
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="Address and port; port 0 takes a free one.")
@click.option("--dir", "directory", type=DIRECTORY, required=True, help="Where ca.pem, token and url are written.")
def toy_cluster(listen: str, directory: Path) -> None:
    """Run an in-memory Kubernetes API, for trials and tests.

    Example: fairlead toy-cluster --dir /tmp/toy
    """
    from ops.cli.toy import run

    run(listen, directory)


@click.command()
@click.option("--kubeconfig", type=FILE, help="Use the cluster of this kubeconfig instead of the toy cluster.")
@click.option("--context", help="The context to use; without it, the current one.")
@click.option("--group", help="The Kubernetes group the demo person gets.")
@click.option("--kubeconfig-out", type=FILE, help="Write the finished kubeconfig here, once kubectl works.")
@click.option("--data", type=DIRECTORY, help="Keep the data here, and use what is there; without it, a temporary one.")
def demo(
    kubeconfig: Path | None, context: str | None, group: str | None, kubeconfig_out: Path | None, data: Path | None
) -> None:
    r"""Start an appliance, an agent and a cluster, and print the line that makes kubectl work.

    \b
    Example: fairlead demo
             fairlead demo --kubeconfig ~/.kube/config --context kind-dev
    """
    import trio

    from ops.demo.demo import DemoError, Options, run
    from ops.demo.kubeconfig import KubeconfigError

    if context and not kubeconfig:
        stop("--context names a context of --kubeconfig: give both.")
    options = Options(kubeconfig=kubeconfig, context=context, group=group, kubeconfig_out=kubeconfig_out, data=data)
    try:
        trio.run(run, options)
    except (DemoError, KubeconfigError) as error:
        stop(error)
