"""Ending the pods that outlived a platform which was killed and never came back."""

from headwater.cli.home import Home


def stop_left_pods(home: Home) -> int:
    """Stop every pod whose shim still runs below the data directory; return how many there were."""
    from headwater.cluster.node.shims import stop_all

    return stop_all(home.node)
