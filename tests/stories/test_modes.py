"""What the platform keeps is its owner's, also in a data directory that was open to everybody before."""

import os
import stat


def test_others_of_this_machine_read_nothing(stopped):
    stopped.home.mkdir(mode=0o755)
    stopped.home.chmod(0o755)
    stopped.up()
    token = stopped.token()
    readable = []
    for folder, folders, files in os.walk(stopped.home):
        for name in list(folders):
            if not os.stat(os.path.join(folder, name)).st_mode & stat.S_IXOTH:
                folders.remove(name)
        for name in files:
            path = os.path.join(folder, name)
            if os.stat(path, follow_symlinks=False).st_mode & 0o077:
                readable.append(os.path.relpath(path, stopped.home))
    assert set(readable) <= {"ports.json"}
    log = (stopped.home / "logs" / "headwater.log").read_text()
    assert token not in log
    assert "Password" not in log
