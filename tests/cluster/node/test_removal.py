import os
from pathlib import Path

from headwater.cluster.node.volumes import remove_tree


def test_a_tree_is_removed_however_deep_and_closed_it_is(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    tree.mkdir()
    outside.mkdir()
    (outside / "kept").touch()
    (tree / "link").symlink_to(outside)
    for number in range(30):
        (tree / f"wide-{number}" / "a" / "b").mkdir(parents=True)
        (tree / f"wide-{number}" / "a" / "file").touch()
    (tree / "wide-0").chmod(0)
    here = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        os.symlink(outside, "l", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    remove_tree(tree)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["outside"]
    assert (outside / "kept").exists()
    remove_tree(tree)
