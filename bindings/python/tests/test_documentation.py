"""The examples in docstrings and the README run, and the stub has the documentation of the library."""

import ast
import doctest
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dps_client
import dps_client._client
import dps_client.emulator
import dps_client.errors
import pytest
from dps_client import _native

FOLDER = Path(__file__).parents[1]
README = (FOLDER / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("module", [dps_client, dps_client._client, dps_client.emulator, _native], ids=str)
def test_examples_in_docstrings_run(module: object) -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner()
    names = {name: getattr(dps_client, name) for name in dps_client.__all__}
    ran = 0
    for name, thing in [(str(module), module), *vars(module).items()]:
        if inspect.ismodule(thing) and thing is not module:
            continue
        if not (inspect.ismodule(thing) or inspect.isclass(thing) or callable(thing)):
            continue
        for test in finder.find(thing, name, module=False, globs={**names, **vars(module)}):
            ran += runner.run(test).attempted
    assert ran > 0
    assert runner.failures == 0


def documented(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Yields class, name and text of every docstring in the stub."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.name, "", text
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and (text := ast.get_docstring(member)):
                    yield node.name, member.name, text


def test_stub_has_the_documentation_of_the_library() -> None:
    tree = ast.parse((FOLDER / "python/dps_client/_native.pyi").read_text(encoding="utf-8"))
    in_stub = {(owner, name): text for owner, name, text in documented(tree)}
    for (owner, name), text in in_stub.items():
        thing = getattr(_native, owner)
        assert inspect.getdoc(getattr(thing, name) if name else thing) == text, f"{owner}.{name}"
    keys = (
        "Secret",
        "SymmetricKey",
        "GroupKey",
        "Signer",
        "X509",
        "Pkcs11Key",
        "Tpm",
        "TpmIdentity",
        "OperationalKey",
        "IssuedIdentity",
        "IdentityStore",
        "LoadedIdentity",
        "HubRenewal",
        "CertificateAuthority",
        "DeviceCertificate",
    )
    for owner in ("Client", "Assignment", "Progress", "HubCredentials", *keys):
        members = [name for name in vars(getattr(_native, owner)) if not name.startswith("_")]
        assert all((owner, name) in in_stub for name in members), owner


def test_first_example_of_readme_runs() -> None:
    first = BLOCKS[0]
    assert len(first.strip().splitlines()) <= 10
    ran = subprocess.run([sys.executable, "-"], input=first, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "hub-a.test\nhub-a.test\n", "")


def test_every_example_of_readme_is_well_typed(tmp_path: Path) -> None:
    # In one run, since reading the types of the standard library is slow.
    files = [tmp_path / f"block_{number}.py" for number in range(len(BLOCKS))]
    for file, block in zip(files, BLOCKS, strict=True):
        file.write_text(block, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-incremental",
        "--follow-imports=silent",
        *map(str, files),
    ]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout


def test_keys_in_readme_are_correct(capsys: pytest.CaptureFixture[str]) -> None:
    block = next(block for block in BLOCKS if "derive_device_keys" in block)
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
    assert len(printed) == 4
