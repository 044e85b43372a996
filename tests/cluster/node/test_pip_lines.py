"""Which pip lines are understood, and which are left alone."""

from pathlib import Path

import pytest

from headwater.cluster.node.pip_lines import for_uv, pip_lines, understood

KFP = """
if ! [ -x "$(command -v pip)" ]; then
    python3 -m ensurepip || python3 -m ensurepip --user || apt-get install python3-pip
fi

PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --quiet --no-warn-script-location 'scikit-learn==1.5.2'  && \
 python3 -m pip install --quiet --no-warn-script-location 'kfp==2.17.0' '--no-deps' \
'typing-extensions>=3.7.4,<5; python_version<"3.9"' && "$0" "$@"
"""


def test_a_kfp_component() -> None:
    assert pip_lines(["sh", "-c", KFP, "sh", "-ec", "program_path=$(mktemp -d)"]) == (
        ("--quiet", "--no-warn-script-location", "scikit-learn==1.5.2"),
        (
            "--quiet",
            "--no-warn-script-location",
            "kfp==2.17.0",
            "--no-deps",
            'typing-extensions>=3.7.4,<5; python_version<"3.9"',
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pip install numpy", [("numpy",)]),
        ("pip3 install -q numpy pandas; python x.py", [("-q", "numpy", "pandas")]),
        ("python3.11 -m pip install 'a[b]>=1' && echo", [("a[b]>=1",)]),
        ("pip install a~=1.0", [("a~=1.0",)]),
        ("pip install a==1.*", []),
        ("pip install 'a==1.*'", [("a==1.*",)]),
        ("pip install $PACKAGES", []),
        ("pip install a && pip install $X && pip install b", [("a",)]),
        ("pip install -r requirements.txt", []),
        ("pip install .", []),
        ("pip install ./wheel.whl", []),
        ("pip install git+https://example.com/x.git", []),
        ("pip install 'a @ file:///etc'", []),
        ("pip install --index-url https://example.com/simple a", [("--index-url", "https://example.com/simple", "a")]),
        ("pip install --find-links /root a", []),
        ("pip install --target /x a", []),
        ("pip install -i file:///root/x a", []),
        ("pip install a > /dev/null 2>&1", [("a",)]),
        ("pip install 'unclosed", []),
        ("pip uninstall a", []),
        ("mypip install a", []),
        ("echo nothing", []),
        ("pip install `cat x`", []),
        ('pip install "a$X"', []),
        ("pip install a b \\\n  c\npython run.py", [("a", "b", "c")]),
    ],
)
def test_lines(text: str, expected: list[tuple[str, ...]]) -> None:
    assert pip_lines(["sh", "-c", text]) == tuple(expected)


def test_a_direct_command() -> None:
    assert pip_lines(["python3", "-m", "pip", "install", "a b"]) == ()
    assert pip_lines(["/usr/bin/pip3", "install", "a", "-U"]) == (("a", "-U"),)


def test_options_reach_uv_under_its_own_names() -> None:
    line = ("--quiet", "-U", "--pre", "--trusted-host", "h", "-i", "https://x", "--no-deps", "--user", "a<2")
    assert understood(line)
    assert for_uv(line) == [
        *(
            "--upgrade",
            "--prerelease=allow",
            "--allow-insecure-host",
            "h",
            "--index-url",
            "https://x",
            "--no-deps",
            "a<2",
        )
    ]


def test_a_line_without_packages_is_none() -> None:
    assert not understood(("--quiet",))
    assert pip_lines([str(Path("/"))]) == ()
