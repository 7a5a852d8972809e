"""`python -m tests.schemas FILE`: fetch the schema of JUnit XML, which is not ours to keep here, from the sources of pytest.

Exit status: 2 if it cannot be had; then one line says why.
"""

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

from kernel.once import ROOT

JUNIT = ROOT / ".poolproof" / "schemas" / "junit-10.xsd"


def main(file: Path = JUNIT) -> int:
    sources = f"pytest-{version('pytest')}"
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", folder]
        what = ["--no-deps", "--no-binary", "pytest", sources.replace("-", "==")]
        done = subprocess.run([*pip, *what], capture_output=True, text=True, check=False)
        try:
            with tarfile.open(Path(folder) / f"{sources}.tar.gz") as archive:
                schema = archive.extractfile(f"{sources}/testing/example_scripts/{JUNIT.name}")
                assert schema is not None
                text = schema.read()
        except (OSError, KeyError, tarfile.TarError) as error:
            said = [*done.stderr.splitlines(), str(error)] if done.returncode else [str(error)]
            print(f"schemas: there is no {JUNIT.name} in what pip gives of {sources}: {said[0]}", file=sys.stderr)
            return 2
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
